// Command standin stands in for the plugin: it says yes to everything but a repeated parameter, which the real one refuses too. With
// VITRINE_LOG_LEVEL=deaf it says yes to that too, so that it looks as if nobody asked it.
package main

import (
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	const socket = "/run/docker/plugins/vitrine.sock"
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(l, http.HandlerFunc(answer))) //nolint:gosec // dockerd is the only client
}

func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/Plugin.Activate" {
		_, _ = w.Write([]byte(`{"Implements": ["authz"]}`))
		return
	}
	var asked struct{ RequestURI string }
	err := json.NewDecoder(r.Body).Decode(&asked)
	repeated := strings.Count(asked.RequestURI, "vitrine=") > 1 && os.Getenv("VITRINE_LOG_LEVEL") != "deaf"
	_ = json.NewEncoder(w).Encode(map[string]any{"Allow": err == nil && !repeated, "Msg": "repeated parameter"})
}
