package main

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"

	"vitrine/test/engine"
)

// viewData has the one who measures see only what is labelled, which is all that there is: so both lists are as long.
const viewData = `
strict: true
roles:
  team: {access: [ping, list, inspect], hazards: [env], where: {com.example.team: bench}}
  shares: {access: [ping, list, inspect], hazards: [env], where: {com.example.team: bench}, shared: {containers: ["nobody"]}}
bindings:
  admin: [local]
  %s: ["unix:root"]
`

// views measures lists of many containers through the gateway for who sees only some objects, against the bare socket: once where the
// daemon is asked to filter, and once where the gateway does, as something is shared.
func views(args []string) error {
	flags := flag.NewFlagSet("views", flag.ExitOnError)
	binary := flags.String("binary", "build/authz-plugin", "the authz-plugin to measure")
	n := flags.Int("n", 50, "lists each way")
	containers := flags.Int("containers", 1000, "how many there are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	for _, role := range []string{"team", "shares"} {
		b := &bench{binary: path}
		if b.bare, err = engine.Open(engine.Options{}); err == nil {
			err = b.view(role, *containers, *n)
		}
		if err = errors.Join(err, b.close()); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) view(role string, containers, n int) error {
	if err := b.bare.ImportBusybox(); err != nil {
		return err
	}
	if err := b.serve(b.bare, fmt.Sprintf(viewData, role), "--plugin-socket", ""); err != nil {
		return err
	}
	b.plugin = b.processes[0]
	b.variants = []*variant{
		{name: "bare socket", socket: b.bare.Socket},
		{name: "gateway, role " + role, socket: b.bare.Path(gatewaySocket), floor: "bare socket", goal: 1.2},
	}
	if err := b.settle(); err != nil {
		return err
	}
	if err := b.fill(containers); err != nil {
		return err
	}
	return b.measure(fmt.Sprintf("GET /containers/json, %d containers", containers), "/containers/json?all=1", n)
}
