# Container images without any registry: the base from Debian packages, the rest by the Dockerfiles of deploy/images.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
buildah_() { buildah --root "$cache_root/buildah" --runroot "$cache_root/buildah-run" "$@"; }

# rootfs NAME PACKAGES: an image localhost/NAME from Debian packages, once
rootfs() {
  local name=$1 packages=$2 extra=${3:-} dir
  buildah_ inspect --type image "localhost/$name" >/dev/null 2>&1 && return 0
  say "making image $name from Debian packages"
  dir=$(mktemp -d)
  mmdebstrap --quiet --variant=extract --include="$packages" "$DEBIAN_SUITE" "$dir/root.tar" 2>"$dir/log" || { tail -3 "$dir/log" >&2; rm -rf "$dir"; die "mmdebstrap failed"; }
  printf 'FROM scratch\nADD root.tar /\n%s\n' "$extra" > "$dir/Dockerfile"
  buildah_ bud -q -t "localhost/$name" "$dir" >/dev/null
  rm -rf "$dir"
}

# archive IMAGE FILE: the image as an OCI archive
archive() {
  rm -f "$2.tmp" "$2"
  buildah_ push -q "$1" "oci-archive:$2.tmp:$1" >/dev/null
  mv "$2.tmp" "$2"
}

# Hash over everything that can change what is in our images.
sources_hash() {
  (cd "$repo" && find package.json package-lock.json tsconfig.json scripts/bundle.ts deploy/images protocol operator proxy e2e/echo \
    -type f ! -name '*.test.ts' ! -name '*.md' -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 sha256sum | cat - "$cluster_dir/versions.env" | sha256sum | cut -c1-12)
}

image_name() { echo "localhost/sluice-$1:$tag"; } # operator, proxy, echo
image_file() { echo "$images_cache/sluice-$1-$tag.tar"; }

build_image() { # TARGET
  local target=$1 started=$SECONDS
  [ ! -e "$(image_file "$target")" ] || return 0
  progress "building image sluice-$target"
  buildah_ bud -q --layers --target "$target" -f "$repo/deploy/images/Dockerfile" \
    --build-arg BUILD_IMAGE=localhost/sluice-build --build-arg BASE_IMAGE=localhost/sluice-base \
    -v "$repo/node_modules:/src/node_modules:ro" -t "$(image_name "$target")" "$repo" > "$images_cache/build.log" 2>&1 ||
    { progress_end; tail -20 "$images_cache/build.log" >&2; die "building image sluice-$target failed"; }
  archive "$(image_name "$target")" "$(image_file "$target")"
  progress "built image sluice-$target, $(du -h "$(image_file "$target")" | cut -f1), $((SECONDS - started)) s"
  progress_end
}

build_images_locked() {
  mkdir -p "$images_cache"
  local base='libc6,libstdc++6,libgcc-s1,libatomic1,ca-certificates,tzdata'
  if [ ! -e "$images_cache/pause.tar" ]; then
    local dir; dir=$(mktemp -d)
    cp "$binaries/pause" "$dir/"
    printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' > "$dir/Dockerfile"
    buildah_ bud -q -t localhost/pause:latest "$dir" >/dev/null
    archive localhost/pause:latest "$images_cache/pause.tar"
    rm -rf "$dir"
  fi
  [ "${1:-all}" = all ] || return 0
  if [ ! -e "$(image_file operator)" ] || [ ! -e "$(image_file proxy)" ] || [ ! -e "$(image_file echo)" ]; then
    rootfs sluice-base "$base"
    rootfs sluice-build "$base,busybox-static" 'RUN ["/bin/busybox", "--install", "-s", "/bin"]'
    local t
    for t in operator proxy echo; do build_image "$t"; done
    # Old archives and layers would fill the disk: the newest of each is enough.
    for t in operator proxy echo; do
      find "$images_cache" -name "sluice-$t-*.tar" ! -name "sluice-$t-$tag.tar" -delete
    done
    buildah_ images -q --filter dangling=true --no-trunc | sort -u | xargs -r -n1 buildah --root "$cache_root/buildah" --runroot "$cache_root/buildah-run" rmi -f >/dev/null 2>&1 || true
    buildah_ images --format '{{.Name}}:{{.Tag}}' | grep '^localhost/sluice-\(operator\|proxy\|echo\):' | grep -v ":$tag$" |
      xargs -r -n1 buildah --root "$cache_root/buildah" --runroot "$cache_root/buildah-run" rmi -f >/dev/null 2>&1 || true
  fi
}

# build_images [pause]: all images (or the pause image alone), from the cache where nothing changed
build_images() {
  tag=$(sources_hash)
  with_lock "$cache_root/images.lock" "another build of images is under way: waiting for it" build_images_locked "${1:-all}"
}
