// Package bypass sends every known way round a Docker authorization plugin to a
// running dockerd that asks ours, and to `authz-plugin eval`.
//
// catalogue_test.go lists the 51 of them, and says of those that are no request
// where they are tested. table_*_test.go hold the requests. Each is sent by a
// caller that may only look, those about create also by one that may create but
// takes no hazard, and those that stand behind a rail by one that may do all
// but that; through the gateway, by a client certificate on dockerd's TLS
// listener, and on dockerd's own socket where `local` is not admin. A refusal is
// not believed: the daemon's objects, its event log, the container's standard
// input and a listener that nobody may call must show that nothing happened.
//
// raw_cases_test.go holds bytes that two readers could read differently. Each goes straight to dockerd and by the
// gateway: the answers must be the same, and what dockerd logs that it was asked what was judged, or it is refused.
package bypass
