// cert-manager's solver of HTTP-01 challenges, as its own acmesolver runs it.
package main

import (
	"flag"
	"log"

	"github.com/cert-manager/cert-manager/pkg/issuer/acme/http/solver"
	"github.com/go-logr/stdr"
)

func main() {
	s := new(solver.HTTP01Solver)
	flag.IntVar(&s.ListenPort, "listen-port", 8089, "")
	flag.StringVar(&s.Domain, "domain", "", "")
	flag.StringVar(&s.Token, "token", "", "")
	flag.StringVar(&s.Key, "key", "", "")
	flag.Parse()
	log.Fatal(s.Listen(stdr.New(log.Default())))
}
