# shellcheck shell=bash
# Container images without any registry: the base from Debian packages, the rest by the Dockerfiles of deploy/images.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
buildah_() { buildah --root "$cache_root/buildah" --runroot "$cache_root/buildah-run" "$@"; }

# rootfs NAME PACKAGES: an image localhost/NAME from Debian packages, once
rootfs() {
  local name=$1 packages=$2 extra=${3:-}
  buildah_ inspect --type image "localhost/$name" >/dev/null 2>&1 && return 0
  progress "making image $name from Debian packages"
  mmdebstrap --quiet --variant=extract --include="$packages" "$DEBIAN_SUITE" "$dir/root.tar" 2>"$dir/log" ||
    { tail -3 "$dir/log" >&2; die "mmdebstrap failed"; }
  printf 'FROM scratch\nADD root.tar /\n%s\n' "$extra" > "$dir/Dockerfile"
  buildah_ bud -q -t "localhost/$name" "$dir" >/dev/null
  rm "$dir"/*
}

# archive IMAGE FILE: the image as an OCI archive
archive() {
  rm -f "$2.tmp" "$2"
  buildah_ push -q "$1" "oci-archive:$2.tmp:$1" >/dev/null
  mv "$2.tmp" "$2"
}

# Hash over everything that can change what is in an image. An image whose sources are the same is not another one:
# a change of the operator restarts no proxy.
sources_hash() { # TARGET
  local sources
  case $1 in operator | proxy) sources="protocol $1" ;; *) sources=e2e/$1 ;; esac
  # shellcheck disable=SC2086
  (cd "$repo" && find package.json package-lock.json tsconfig.json scripts/bundle.ts deploy/images $sources \
    -type f ! -name '*.test.ts' ! -name '*.md' -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 sha256sum | cat - "$cluster_dir/versions.env" | sha256sum | cut -c1-12)
}

image_name() { local tag=tag_$1; echo "localhost/sluice-$1:${!tag}"; } # operator, proxy, echo
image_file() { local tag=tag_$1; echo "$images_cache/sluice-$1-${!tag}.tar"; }

build_image() { # TARGET
  local target=$1 started=$SECONDS
  [ ! -e "$(image_file "$target")" ] || return 0
  progress "building image sluice-$target"
  buildah_ bud -q --layers --target "$target" -f "$repo/deploy/images/Dockerfile" \
    --build-arg BUILD_IMAGE=localhost/sluice-build --build-arg BASE_IMAGE=localhost/sluice-base \
    -v "$repo/node_modules:/src/node_modules:ro" -t "$(image_name "$target")" "$repo" > "$images_cache/build.log" 2>&1 ||
    { tail -20 "$images_cache/build.log" >&2; die "building image sluice-$target failed"; }
  archive "$(image_name "$target")" "$(image_file "$target")"
  say "built image sluice-$target, $(du -h "$(image_file "$target")" | cut -f1), $((SECONDS - started)) s"
}

build_images_locked() { # TARGET…
  local base='libc6,libstdc++6,libgcc-s1,libatomic1,ca-certificates,tzdata' dir=$images_cache/work stale='' t
  # What an interrupted build left.
  rm -rf "$dir"
  mkdir -p "$dir"
  if [ ! -e "$images_cache/pause.tar" ]; then
    cp "$binaries/pause" "$dir/"
    printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' > "$dir/Dockerfile"
    buildah_ bud -q -t localhost/pause:latest "$dir" >/dev/null
    archive localhost/pause:latest "$images_cache/pause.tar"
    rm "$dir"/*
  fi
  for t in "$@"; do [ -e "$(image_file "$t")" ] || stale="$stale $t"; done
  [ -n "$stale" ] || return 0
  buildah_ rm -a > /dev/null
  rootfs sluice-base "$base"
  rootfs sluice-build "$base,busybox-static" 'RUN ["/bin/busybox", "--install", "-s", "/bin"]'
  for t in $stale; do build_image "$t"; done
  # Old archives and layers would fill the disk: the newest of each is enough.
  for t in $stale; do
    find "$images_cache" -name "sluice-$t-*.tar" ! -path "$(image_file "$t")" -delete
    buildah_ images --format '{{.Name}}:{{.Tag}}' | { grep "^localhost/sluice-$t:" || true; } | { grep -vxF "$(image_name "$t")" || true; } | remove_images
  done
  buildah_ images -q --filter dangling=true --no-trunc | sort -u | remove_images
}

remove_images() {
  local image
  while read -r image; do buildah_ rmi -f "$image" > /dev/null 2>&1 || true; done
}

# build_images [TARGET…]: these of operator, proxy and echo, and the pause image, from the cache where nothing changed
build_images() {
  # Once, before anything is built: sources that change meanwhile are the next build's.
  # shellcheck disable=SC2034  # by way of their names, in image_name and image_file
  tag_operator=$(sources_hash operator) tag_proxy=$(sources_hash proxy) tag_echo=$(sources_hash echo)
  with_lock "$cache_root/images.lock" "another build of images is under way: waiting for it" build_images_locked "$@"
}
