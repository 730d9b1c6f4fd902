package policy

import (
	"strings"
	"testing"
)

// TestWarningsOfViews: what loads, and cannot be what the author of a role that sees only some objects means by it.
func TestWarningsOfViews(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		data     string
		noSocket bool
		want     []string // keys, each with the beginning of what is said
	}{
		"admin":                      {data: `roles: {admin: {own: true, where: {a: b}, shared: {images: [a]}, image_names: [x], hazards: ["*"], operations: [ImageBuild]}}`},
		"admin, who sees everything": {data: `roles: {admin: {operations: ["*"], shared: {images: [a]}, image_names: [x]}}`},
		"everything is seen": {data: `roles: {all: {access: [list], shared: {images: [a]}, image_names: [x]}, plain: {access: [list]}}`, want: []string{
			"roles.all.shared: is for roles with own or where", "roles.all.image_names: is for roles with own or where",
		}},
		"ways round it": {data: `roles:
  a: {access: [list], where: {t: b}, hazards: [env, privileged, devices]}
  b: {access: [list], where: {t: b}, hazards: [privileged], host_paths: [/x]}
  c: {access: [list], own: true, hazards: [env]}`, want: []string{"roles.a.hazards: with privileged, devices it has everybody's things"}},
		"no image": {data: `roles:
  a: {access: [write], own: true}
  b: {access: [write], own: true, shared: {images: [x]}}
  c: {access: [write], own: true, image_names: [c/$owner/*]}
  d: {access: [list], own: true}
  e: {access: [write], where: {t: b}, stamp: {t: b}}`, want: []string{"roles.a.own: no image is anybody's own"}},
		"what is denied": {data: `roles:
  a: {where: {t: b}, operations: [ImageBuild]}
  b: {where: {t: b}, operations: [ImageBuild], shared: {images: ["*"]}, image_names: [x]}
  c: {where: {t: b}, operations: [ContainerStop, ImageTag]}
  d: {where: {t: b}, stamp: {t: b}, operations: ["*", SwarmInit]}`, want: []string{
			"roles.a.operations.0: a Dockerfile can begin with any image", "roles.a.operations.0: ImageBuild is denied without names",
			"roles.c.operations.1: ImageTag is denied without names", "roles.d.operations.1: SwarmInit cannot be limited to some objects",
		}},
		"what it makes": {data: `roles:
  a: {access: [write], where: {t: b}}
  b: {access: [write], where: {t: b}, stamp: {t: c}}
  c: {access: [write], where: {t: b}, stamp: {t: b}}
  d: {access: [list], where: {t: b}}
  e: {access: [write], where: {t: 1}}
  f: {access: [write], where: {vitrine.owner: x}}
  g: {operations: [ContainerCreate], where: {vitrine.network: edge}}`, want: []string{
			"roles.a.where: grants ContainerCreate and NetworkCreate and VolumeCreate, and what it makes is not one of the objects that it sees",
			"roles.b.where: grants ContainerCreate and NetworkCreate and VolumeCreate, and what it makes",
			"roles.g.where: grants ContainerCreate, and sees what it makes only if that is a container in network edge",
		}},
		"shared volumes": {data: `roles:
  a: {access: [write], where: {t: b}, stamp: {t: b}, shared: {volumes: [v]}}
  b: {access: [list], where: {t: b}, shared: {volumes: [v]}}`, want: []string{"roles.a.shared.volumes: each holder may write to them"}},
		"nobody's own": {data: `roles: {c: {access: [list], own: container}, o: {access: [list], own: true}, u: {access: [list], own: user}}
bindings: {c: ["container:x", "unix:x", ["image:y", "tls:z"]], o: ["unix:x", "container:x", local], u: ["unix:x", "container:x"]}`, want: []string{
			"bindings.c.1: unix:x is no container's, and own: container gives each container its own things",
			"bindings.c.2: tls:z is no container's", "bindings.o.2: local comes by dockerd's own socket",
			"bindings.u.1: container:x is no host user's, and own: user gives each host user its own things",
		}},
		"sockets": {data: `roles:
  a: {access: [write], own: true, shared: {images: [x]}, engine_socket: substitute}
  b: {access: [list], own: true, engine_socket: substitute}
  c: {access: [write], engine_socket: substitute}
  d: {access: [write], engine_socket: substitute, own: true, shared: {images: [x]}}
  e: {access: [list]}
bindings: {d: [local], e: [local]}`, want: []string{
			"bindings.d.0: local comes by dockerd's own socket", "roles.b.engine_socket: is for roles that make containers",
			"roles.c.engine_socket: without own nobody can tell", "roles.d.engine_socket: local comes by dockerd's own socket",
		}},
		"no socket": {data: `roles: {a: {access: [list], engine_socket: substitute}, b: {access: [list]}}`, noSocket: true, want: []string{
			"roles.a.engine_socket: the configuration has no listener",
		}},
		"contradictions": {data: `roles:
  a: {access: [list], where: {t: x}}
  b: {access: [list], where: {t: y}}
  c: {access: [list], where: {t: x}}
  d: {access: [list], stamp: {t: y}}
bindings: {a: ["tls:b", "tls:a"], b: ["tls:a"], c: ["tls:a"], d: ["tls:a"]}`, want: []string{
			"bindings.b.0: tls:a holds role a too, and they want t=y and t=x in where",
		}},
	} {
		data, err := decodeData(file{raw: []byte(tt.data)}, map[string]position{})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		report := func(key, message string) { said = append(said, key+": "+message) }
		checkViews(data, report)
		checkContradictions(data, report)
		checkImageNames(data, report)
		checkOwners(data, report)
		checkSockets(data, tt.noSocket, report)
		if len(said) != len(tt.want) {
			t.Errorf("%s: got %q", name, said)
			continue
		}
		for i, want := range tt.want {
			if !strings.HasPrefix(said[i], want) {
				t.Errorf("%s: %s, want %s", name, said[i], want)
			}
		}
	}
}
