package bypass

import (
	"fmt"
	"slices"
	"strings"
)

// rawCase is what goes over the wire, in front of a ping that ends the connection.
type rawCase struct {
	name, bytes string
	head        bool // the answer has no body
	end         bool // it is not whole: nothing follows it, not even the ping
}

const (
	rawList   = "/v1.41/containers/json?all=1"
	rawCreate = "/v1.41/containers/create"
	rawHost   = "Host: docker\r\n"
	rawJSON   = "Content-Type: application/json\r\n"
)

// rawGet is a GET of a target.
func rawGet(target string) string { return "GET " + target + " HTTP/1.1\r\n" + rawHost + "\r\n" }

// rawPost is a POST of a body with headers besides its length.
func rawPost(target, headers, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s", target, rawHost, headers, len(body), body)
}

// none is a body of which the daemon says by the name of an image how it has read it, and chunks is that in one chunk.
const none = `{"Image":"none"}`

func chunked(text string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text) }

// rawCases are requests that two readers could read differently.
func rawCases() (all []rawCase) {
	add := func(family string, bytes ...string) {
		for _, b := range bytes {
			all = append(all, rawCase{name: family, bytes: b})
		}
	}

	// The request line.
	for _, line := range []string{
		"get " + rawList + " HTTP/1.1", "Get " + rawList + " HTTP/1.1", "post " + rawCreate + " HTTP/1.1", " GET " + rawList + " HTTP/1.1",
		"GET  " + rawList + " HTTP/1.1", "GET " + rawList + "  HTTP/1.1", "GET " + rawList + " HTTP/1.1 ", "GET\t" + rawList + "\tHTTP/1.1", "GET\t" + rawList + " HTTP/1.1",
		"GET " + rawList + " HTTP/1.2", "GET " + rawList + " HTTP/2.0", "GET " + rawList + " HTTP/0.9", "GET " + rawList + " HTTP/01.1", "GET " + rawList + " HTTP/1.01",
		"GET " + rawList + " http/1.1", "GET " + rawList + " HTTP/1.1x", "GET " + rawList + " HTTP/+1.1", "GET " + rawList, "GET " + rawList + " ", "GET HTTP/1.1", " HTTP/1.1", "",
		"PUT " + rawList + " HTTP/1.1", "PATCH " + rawCreate + " HTTP/1.1", "TRACE " + rawList + " HTTP/1.1", "PROPFIND " + rawList + " HTTP/1.1", "DELETE " + rawList + " HTTP/1.1",
		"OPTIONS * HTTP/1.1", "OPTIONS " + rawList + " HTTP/1.1", "OPTIONS / HTTP/1.1", "GET * HTTP/1.1", "CONNECT docker:80 HTTP/1.1", "CONNECT " + rawList + " HTTP/1.1", "GET docker:80 HTTP/1.1",
		"GET\x00 " + rawList + " HTTP/1.1", "GET " + rawList + "\x00 HTTP/1.1", "G\xc3\x8bT " + rawList + " HTTP/1.1", "GET " + rawList + "\xa0HTTP/1.1", "GET " + rawList + "\v HTTP/1.1", "(GET) " + rawList + " HTTP/1.1",
		"!GET " + rawList + " HTTP/1.1", "HEADGET " + rawList + " HTTP/1.1", "M-SEARCH " + rawList + " HTTP/1.1",
	} {
		add("line "+line, line+"\r\n"+rawHost+"\r\n")
	}
	all = append(all, rawCase{name: "HEAD of a list", bytes: "HEAD " + rawList + " HTTP/1.1\r\n" + rawHost + "\r\n", head: true}, rawCase{name: "HEAD of a ping", bytes: "HEAD /_ping HTTP/1.1\r\n" + rawHost + "\r\n", head: true})
	add("empty lines before", "\r\n"+rawGet(rawList), "\r\n\r\n\r\n"+rawGet(rawList), "\n"+rawGet(rawList), "\r"+rawGet(rawList), " \r\n"+rawGet(rawList), "\x00"+rawGet(rawList))
	add("line ends", strings.ReplaceAll(rawGet(rawList), "\r\n", "\n"), strings.ReplaceAll(rawGet(rawList), "\r\n", "\r"), strings.Replace(rawGet(rawList), "\r\n", "\r\r\n", 1), strings.Replace(rawGet(rawList), "\r\n", "\n\r", 1))

	// The target.
	for _, target := range []string{
		"/v01.41/containers/json?all=1", "/v1.041/containers/json?all=1", "/v1.41.0/containers/json?all=1", "/v1.41./containers/json?all=1", "/V1.41/containers/json?all=1", "/v1.9999/containers/json", "/v1.0/containers/json",
		"/v2.0/containers/json", "/v1/containers/json", "/v/containers/json", "/v1.41/v1.41/containers/json", "/v1.41", "/v1.41/", "/v1.41//containers/json", "//v1.41/containers/json", "/v1.4%31/containers/json?all=1",
		"/%761.41/containers/json?all=1", "/v1%2e41/containers/json?all=1", "/v1.41%2fcontainers/json?all=1", "/v1.41%2fcontainers%2fjson?all=1", "%2fcontainers/json", "/containers%2Fjson?all=1", "/containers/%6ason?all=1", "/containers/j%73on",
		"/containers/json/", "/containers/json/?all=1", "/containers/json//", "/containers//json", "/containers/./json", "/containers/x/../json", "/containers/x/%2e%2e/json", "/containers/x/%2E./json", "/./containers/json", "/../containers/json", "/..;/containers/json",
		"/containers/json;a=b", "/containers/json;?all=1", "/containers;a/json", "/containers/json%3Fall=1", "/containers/json%3fall=1?all=0", "/containers/json??all=1", "/containers/json?", "/containers/json?all=1?all=0", "/containers/json#x", "/containers/json?all=1#x", "/containers/json%23",
		"/containers/json%00", "/containers/json%0a", "/containers/json%0d%0aX:%20y", "/containers/json%20", "/containers/json+", "/containers/json%09", "/containers/json%7f", "/containers/json%c0%af", "/containers/%ff/json", "/containers/\xff/json", "/containers/\xc3\xa4/json", "/containers/%c3%a4/json",
		"/containers/%252e/json", "/containers/%25/json", "/containers/%/json", "/containers/%zz/json", "/containers/%2/json", "/containers/%u002f/json", `/containers\json`, `/containers/..\json`, "/containers/x%5cy/json", "/containers/{x}/json", "/containers/x|y/json", `/containers/"x"/json`, "/containers/<x>/json", "/containers/[x]/json", "/containers/x^y/json", "/containers/x`y/json", "/containers/x:y/json", "/containers/x@y/json", "/containers/x!$&'()*,=/json",
		"http://docker/containers/json?all=1", "HTTP://docker/containers/json?all=1", "https://docker/containers/json?all=1", "http:///containers/json", "http://docker", "http://docker?all=1", "http://docker#/containers/json", "http://a@docker/containers/json", "http://a:b@docker/containers/json", "http://docker:80/containers/json", "http://[::1]/containers/json", "http://docker//containers/json", "http://docker/v1.41/containers/json?all=1", "http:/containers/json", "http:containers/json", "http:%2f%2fdocker/containers/json",
		"ftp://docker/containers/json", "unix:///containers/json", "//docker/containers/json", "///containers/json", "containers/json", "./containers/json", "?all=1", "/?all=1", "/", "*",
		"/containers/none/logs?stdout=1", "/containers/none%2flogs?stdout=1", "/containers/none/logs/../json", "/containers/none/json/logs", "/containers/a/b/json", "/containers/a%2fb/json", "/images/none/json", "/images/a%2fb/json", "/images/a/b/json", "/images/a//b/json", "/images/docker.io%2flibrary%2fnone:1/json", "/images/none%3a1/json", "/images/none@sha256:x/json", "/images/json/json", "/images/get/json", "/images/none/get", "/images/get?names=none", "/images/get?names=a&names=b",
		"/_ping/", "/_ping?x", "/%5fping", "/_PING", "/containers/JSON", "/Containers/json", "/info/", "/version?x=y", "/events/", "/containers/json/json", "/grpc", "/session", "/debug/pprof/cmdline", "/debug/vars", "/v1.41/debug/vars", "/metrics", "/plugins/x/json", "/swarm", "/tasks/x/logs?stdout=1",
	} {
		add("target "+target, rawGet(target))
	}
	for _, target := range []string{
		"/containers%2fcreate", "/containers/create/", "/containers//create", "/containers/./create", "/containers/json/../create", "/containers/x/%2e%2e/create", "/containers/create;x", "/containers/create%00", "/containers/create?", "/containers/create#", "/v01.41/containers/create", "/v1.41/v1.41/containers/create",
		"http://docker/containers/create", "//docker/containers/create", "/containers/none/start/", "/containers/none%2fstart", "/containers/a/b/start", "/containers/create/start", "/containers/none/checkpoints", "/containers/none%2fcheckpoints", "/containers/none/checkpoints/", "/v1.41/containers/none/checkpoints?dir=/tmp", "/containers/a/b/checkpoints",
		"/containers/none/start?checkpoint=a&checkpoint-dir=/tmp", "/containers/none/start?checkpoint-dir=/tmp", "/containers/none/start?checkpoint=&checkpoint=a", "/containers/none/start?%63heckpoint=a", "/containers/none/start?Checkpoint=a", "/containers/none/start?checkpoint", "/containers/none/start?x;checkpoint=a",
	} {
		add("POST "+target, rawPost(target, rawJSON, none), rawPost(target, "", ""))
	}
	for _, body := range []string{
		`{"CheckpointID":"a","CheckpointDir":"/tmp","Exit":true}`, `{"checkpointid":"a","CHECKPOINTDIR":"/etc"}`, `{"CheckpointID":"../../x"}`, `{"CheckpointID":"a"} {"CheckpointDir":"/"}`, `null`, `[]`,
	} {
		add("checkpoint", rawPost("/v1.41/containers/none/checkpoints", rawJSON, body))
	}
	for _, target := range []string{"/containers/none/checkpoints/a", "/containers/none/checkpoints/a?dir=/tmp", "/containers/none/checkpoints/a/b", "/containers/none/checkpoints/", "/containers/none/checkpoints/..", "/containers/none/checkpoints/%2e%2e", "/containers/none/checkpoints/a%2fb", "/v1.41/containers/a/b/checkpoints/c"} {
		add("DELETE "+target, "DELETE "+target+" HTTP/1.1\r\n"+rawHost+"\r\n", "GET "+target+" HTTP/1.1\r\n"+rawHost+"\r\n")
	}
	add("checkpoints", rawGet("/containers/none/checkpoints"), rawGet("/containers/none/checkpoints?dir=/"), rawGet("/v1.41/containers/taken/checkpoints?dir=/etc"))

	// The query.
	filter := func(text string) string {
		return "filters=" + strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D", "[", "%5B", "]", "%5D", ",", "%2C", ":", "%3A", " ", "%20").Replace(text)
	}
	taken, other := filter(`{"name":["taken"]}`), filter(`{"name":["other"]}`)
	for _, query := range []string{
		"all=1&all=0", "all=0&all=1", "all=1;all=0", ";all=1", "all=1&;", "&all=1", "all=1&&", "all", "all=", "=1&all=1", "all=1&=", "All=1", "ALL=1", "a%6cl=1", "all=%31", "all=%", "all=%zz", "all=1%00", "all%00=1", "%00=1&all=1", "all=+1", "all=1+", "all=true", "all=True", "all=yes", "all=on", "all=2", "all=-1", "all=0x1",
		"all=1&limit=1", "all=1&limit=1&limit=9", "limit=-1", "limit=1e0", "limit=%31", "limit=99999999999999999999", "limit=1.0", "limit=%201", "all=1&size=1", "all=1&unknown=1", "all=1&unknown=1&unknown=2", "all[]=1", "all=1&x=\xff", "all=1&x=%ff",
		"all=1&" + taken, "all=1&" + taken + "&" + other, "all=1&" + other + "&" + taken, "all=1&Filters=x&" + taken, "all=1&" + filter(`{"name":["taken"],"name":["other"]}`), "all=1&" + filter(`{"name":["other"],"name":["taken"]}`), "all=1&" + filter(`{"name":["other"],"Name":["taken"]}`), "all=1&" + filter(`{"NAME":["taken"]}`),
		"all=1&" + filter(`{"name":["other"]} {"name":["taken"]}`), "all=1&" + filter(`{"name":["taken"]}x`), "all=1&" + filter(`{"name":{"taken":true}}`), "all=1&" + filter(`{"name":{"taken":false}}`), "all=1&" + filter(`{"name":{"taken":true,"taken":false}}`), "all=1&" + filter(`{"name":["taken"],"label":{"a":true}}`), "all=1&" + filter(`{"name":"taken"}`), "all=1&" + filter(`{"name":null}`), "all=1&" + filter(`null`), "all=1&" + filter(`[]`), "all=1&" + filter(`{}`), "all=1&" + filter(`{"na\u006de":["taken"]}`), "all=1&filters=", "all=1&filters=%20%7B%7D",
		"all=1&" + filter("\xef\xbb\xbf{}"), "all=1&" + filter(`{"name":["tak%65n"]}`),
	} {
		add("query "+query, rawGet("/v1.41/containers/json?"+query))
	}
	for _, query := range []string{"name=a&name=b", "name=a;name=b", "name=a&Name=b", "name=%2fa", "name=a%00", "name=a/b", "name=", "name", "name=%2e%2e", "platform=linux%2famd64&platform=x", "platform={}", "platform=%7B%22os%22%3A%22linux%22%7D"} {
		add("create?"+query, rawPost(rawCreate+"?"+query, rawJSON, none))
	}

	// The headers, of a list and of a create.
	for _, h := range []string{
		"X-A: b\r\n c", "X-A: b\r\n\tc", " X-A: b", "\tX-A: b", "X-A : b", "X-A\t: b", "X-A:b", "X-A:", ":", ": b", "X A: b", "X-A", "X-A: b\x00", "X\x00A: b", "X-A: b\x7f", "X-\x80: b", "X-A: \xff\xfe", "X-A: b\rX-B: c", "X-A: b\nX-B: c", "X-A: b\r", "X(A): b", "X-A: \v",
		"Host: other", "host: docker", "Content-Length: 0", "Content-Length: 0\r\nContent-Length: 0", "Content-Length: 0\r\nContent-Length: 1", "Content-Length: 0, 0", "Content-Length: +0", "Content-Length: -0", "Content-Length: 0x0", "Content-Length: 00", "Content-Length: 0 ", "Content-Length:", "Content-Length: ;", "Content-Length : 0", "Content_Length: 5", "Content-Length: \v0",
		"Transfer-Encoding: identity", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: x", "Transfer-Encoding:", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked;q=1", "Transfer_Encoding: chunked", "Transfer-Encoding : chunked", "Te: trailers", "Te: chunked", "Trailer: X-A",
		"Expect: 100-continue", "Expect: 100-Continue", "Expect: 200-ok", "Expect:", "Connection: close", "Connection: keep-alive", "Connection: Keep-Alive, Upgrade", "Connection: X-A, close", "Connection: Host", "Connection: Content-Length", "Connection:", "Connection: \x80", "Upgrade: tcp", "Connection: Upgrade\r\nUpgrade: tcp", "Connection: upgrade\r\nUpgrade: h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", "Connection: Upgrade\r\nUpgrade: websocket", "Upgrade: TCP, h2c", "Keep-Alive: timeout=1", "Proxy-Connection: close",
		"X-HTTP-Method-Override: POST", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE", "X-Original-URL: /containers/create", "X-Rewrite-URL: /containers/create", "X-Forwarded-Host: x", "X-Forwarded-Prefix: /containers", "Forwarded: for=1.2.3.4", "X-Vitrine-Ticket: x", "x-vitrine-ticket: x", "Accept: application/vnd.docker.raw-stream", "Accept-Encoding: gzip", "Range: bytes=0-1", "If-None-Match: *", "Authorization: Basic eDp5", "X-Registry-Auth: e30=", "Cookie: a=b", "User-Agent: \xff",
		"X-A: " + strings.Repeat("x", 40<<10), strings.TrimSuffix(strings.Repeat("X-A: b\r\n", 100), "\r\n"),
	} {
		name := "header " + h[:min(len(h), 60)]
		add(name, "GET "+rawList+" HTTP/1.1\r\n"+rawHost+h+"\r\n\r\n", "GET "+rawList+" HTTP/1.1\r\n"+h+"\r\n"+rawHost+"\r\n")
		if !strings.HasPrefix(h, "Content-Length") && !strings.HasPrefix(h, "Expect") {
			add(name, rawPost(rawCreate, rawJSON+h+"\r\n", none))
		}
	}
	all = append(all, rawCase{name: "expects", bytes: rawPost(rawCreate, rawJSON+"Expect: 100-continue\r\n", none)}, rawCase{name: "expects twice", bytes: rawPost(rawCreate, rawJSON+"Expect: 100-continue\r\nExpect: 100-continue\r\n", none)}, rawCase{name: "expects more", bytes: rawPost(rawCreate, rawJSON+"Expect: 100-continue, x\r\n", none)})
	add("host", "GET "+rawList+" HTTP/1.1\r\n\r\n", "GET "+rawList+" HTTP/1.1\r\nHost:\r\n\r\n", "GET "+rawList+" HTTP/1.1\r\nHost: \r\n\r\n", "GET "+rawList+" HTTP/1.1\r\nHost: a b\r\n\r\n", "GET "+rawList+" HTTP/1.1\r\nHost: a/b\r\n\r\n", "GET "+rawList+" HTTP/1.1\r\nHost: \xff\r\n\r\n", "GET "+rawList+" HTTP/1.1\r\nHost: %zz\r\n\r\n", "GET "+rawList+" HTTP/1.1\r\nHost: docker\r\nHost: docker\r\n\r\n", "GET http://a/containers/json HTTP/1.1\r\nHost: b\r\n\r\n", "GET http://a/containers/json HTTP/1.1\r\n\r\n")
	add("HTTP/1.0", "GET "+rawList+" HTTP/1.0\r\n\r\n", "GET "+rawList+" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET "+rawList+" HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", "POST "+rawCreate+" HTTP/1.0\r\n"+rawJSON+"Content-Length: 16\r\nConnection: keep-alive\r\n\r\n"+none, "POST "+rawCreate+" HTTP/1.0\r\n"+rawJSON+"Transfer-Encoding: chunked\r\n\r\n"+chunked(none), "POST "+rawCreate+" HTTP/1.0\r\n"+rawJSON+"\r\n"+none)

	// The body's length.
	post := "POST " + rawCreate + " HTTP/1.1\r\n" + rawHost + rawJSON
	for _, length := range []string{
		"Content-Length: 16\r\nContent-Length: 16", "Content-Length: 16\r\nContent-Length: 17", "Content-Length: 17\r\nContent-Length: 16", "Content-Length: 16, 16", "Content-Length: +16", "Content-Length: 0x10", "Content-Length: 016", "Content-Length: 1_6", "Content-Length: 16.0", "Content-Length:16", "Content-Length: 16\t", "Content-Length:\v16", "content-length: 16", "Content-Length: 18446744073709551632", "Content-Length: \xb2",
		"Content-Length: 16\r\nTransfer-Encoding: identity", "Content-Length: 16\r\nTransfer-Encoding:", "Content-Length : 16", "Content-Length\x00: 16",
	} {
		add("length "+length, post+length+"\r\n\r\n"+none)
	}
	for _, coding := range []string{
		"chunked", "Chunked", "CHUNKED", " chunked ", "\tchunked", "\vchunked", "chunked\x00", "xchunked", "chunked, chunked", "chunked,", ",chunked", "gzip, chunked", "identity, chunked", "chunked\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: identity", "identity\r\nTransfer-Encoding: chunked", "x\r\nTransfer-Encoding: chunked",
		"chunked\r\nContent-Length: 16", "chunked\r\nContent-Length: 3", "chunked\r\nContent-Length: x", "chunked\r\nTrailer: Content-Length", "\r\n chunked",
	} {
		add("coding "+coding, post+"Transfer-Encoding: "+coding+"\r\n\r\n"+chunked(none))
	}
	add("coding before the length", post+"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(none))
	for _, body := range []string{
		"10;a=b\r\n" + none + "\r\n0\r\n\r\n", "10 ;a\r\n" + none + "\r\n0\r\n\r\n", "10\t\r\n" + none + "\r\n0\r\n\r\n", "010\r\n" + none + "\r\n0\r\n\r\n", "0x10\r\n" + none + "\r\n0\r\n\r\n", "+10\r\n" + none + "\r\n0\r\n\r\n", "-10\r\n" + none + "\r\n0\r\n\r\n", "1 0\r\n" + none + "\r\n0\r\n\r\n", " 10\r\n" + none + "\r\n0\r\n\r\n", "1_0\r\n" + none + "\r\n0\r\n\r\n",
		"10\n" + none + "\n0\n\n", "10\r" + none + "\r0\r\r", "10\r\n" + none + "0\r\n\r\n", "10\r\n" + none + "\r\n00000\r\n\r\n", "10\r\n" + none + "\r\n0\r\nX-A: b\r\n\r\n", "10\r\n" + none + "\r\n0\r\nContent-Length: 3\r\n\r\n", "10\r\n" + none + "\r\n0\r\nX-Vitrine-Ticket: x\r\n\r\n", "10\r\n" + none + "\r\n0;a=b\r\n\r\n", "8\r\n" + none[:8] + "\r\n8\r\n" + none[8:] + "\r\n0\r\n\r\n", "10;\"\r\n\"\r\n" + none + "\r\n0\r\n\r\n", "10;" + strings.Repeat("x", 5000) + "\r\n" + none + "\r\n0\r\n\r\n",
		"f\r\n" + none + "\r\n0\r\n\r\n", "11\r\n" + none + "\r\n0\r\n\r\n", "fffffffffffffffff\r\n" + none + "\r\n0\r\n\r\n", "zz\r\n", "10;\x00\r\n" + none + "\r\n0\r\n\r\n", "0\r\n\r\n",
	} {
		add("chunks "+body[:min(len(body), 30)], post+"Transfer-Encoding: chunked\r\n\r\n"+body)
	}
	all = append(
		all,
		rawCase{name: "too short", bytes: post + "Content-Length: 17\r\n\r\n" + none, end: true}, rawCase{name: "too short in chunks", bytes: post + "Transfer-Encoding: chunked\r\n\r\n20\r\n" + none, end: true},
		rawCase{name: "no end of chunks", bytes: post + "Transfer-Encoding: chunked\r\n\r\n10\r\n" + none + "\r\n", end: true}, rawCase{name: "no end of the head", bytes: post, end: true}, rawCase{name: "no end of trailers", bytes: post + "Transfer-Encoding: chunked\r\n\r\n10\r\n" + none + "\r\n0\r\nX-A: b\r\n", end: true},
	)
	add("longer than its length", post+"Content-Length: 16\r\n\r\n"+none+"x", post+"Content-Length: 16\r\n\r\n"+none+"\r\n", post+"Content-Length: 15\r\n\r\n"+none, post+"Content-Length: 2\r\n\r\n{}"+none)
	add("no length", post+"\r\n"+none)
	for _, method := range []string{"GET", "DELETE", "OPTIONS"} {
		target := map[string]string{"GET": rawList, "DELETE": "/v1.41/containers/none", "OPTIONS": "/v1.41/containers/none"}[method]
		add("body of "+method, method+" "+target+" HTTP/1.1\r\n"+rawHost+rawJSON+"Content-Length: 16\r\n\r\n"+none, method+" "+target+" HTTP/1.1\r\n"+rawHost+rawJSON+"Transfer-Encoding: chunked\r\n\r\n"+chunked(none), method+" "+target+" HTTP/1.1\r\n"+rawHost+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	}

	// What the body is, and says that it is.
	for _, headers := range []string{
		"", "Content-Type:\r\n", "Content-Type: text/plain\r\n", "Content-Type: application/json; charset=utf-8\r\n", "Content-Type: application/json;\r\n", "Content-Type: application/json; charset=utf-16\r\n", "Content-Type: APPLICATION/JSON\r\n", "Content-Type: application/json, text/plain\r\n", "Content-Type: text/plain, application/json\r\n", "Content-Type: application/json\r\nContent-Type: text/plain\r\n", "Content-Type: text/plain\r\nContent-Type: application/json\r\n", "Content-Type: application/jsonx\r\n", "Content-Type: application/ json\r\n", "Content-Type: application/json; a=\"\r\n", "Content-Type: application/x-www-form-urlencoded\r\n", "Content-Type: multipart/form-data; boundary=x\r\n", "Content-Type: application/octet-stream\r\n", "Content-Type: \xff\r\n",
		rawJSON + "Content-Encoding: gzip\r\n", rawJSON + "Content-Encoding: identity\r\n", rawJSON + "Content-Encoding:\r\n", rawJSON + "Content-MD5: x\r\n", rawJSON + "Content-Range: bytes 0-1/2\r\n",
	} {
		add("type "+headers, rawPost(rawCreate, headers, none))
	}
	const form = "Content-Type: application/x-www-form-urlencoded\r\n"
	add("form", rawPost("/v1.41/containers/none/rename?name=a", form, "name=b"), rawPost("/v1.41/containers/none/kill?signal=0", form, "signal=9"), rawPost("/v1.41/containers/none/start", form, "checkpoint=a"), rawPost("/v1.41/containers/none/kill", "Content-Type: Application/X-WWW-Form-Urlencoded; a=b\r\n", "signal=9"), rawPost("/v1.41/containers/none/kill", "Content-Type: multipart/form-data; boundary=x\r\n", "--x\r\nContent-Disposition: form-data; name=\"signal\"\r\n\r\n9\r\n--x--\r\n"))
	for _, body := range rawBodies() {
		add("body "+body[:min(len(body), 60)], rawPost(rawCreate, rawJSON, body))
	}
	for _, body := range []string{
		`{"Name":"va"}`, `{"Name":"va","name":"vb"}`, `{"name":"vb","Name":"va"}`, `{"Name":"va","Name":"vb"}`, `{"NAME":"vb"}`, `{"Name":"va","Name":null}`, `{"Name":"va","Name":1}`, `{"Name":"va"}{"Name":"vb"}`, `{"Name":"va"},`, `{"Name":"v\u0061"}`, `{"Name":"va\u0000"}`, `{"Name":"va\ud800"}`, "{\"Name\":\"va\xff\"}", `{"Na\u006de":"vc"}`, "{\"Name\":\"va\n\"}", `{"Name":"..","Driver":"local"}`, `{"Name":"a/b"}`, `{"Name":"va","Driver":""}`, `{"Name":"va","Driver":"LOCAL"}`, `{"Name":"va","DriverOpts":null}`, `{"Name":["va"]}`, `["va"]`,
	} {
		add("volume "+body, rawPost("/v1.41/volumes/create", rawJSON, body))
	}

	// What follows.
	for _, second := range []string{rawPost(rawCreate, rawJSON, none), "DELETE /v1.41/containers/none HTTP/1.1\r\n" + rawHost + "\r\n", rawPost("/v1.41/containers/none/checkpoints", rawJSON, `{"CheckpointID":"a"}`), rawPost("/v1.41/containers/none/start?checkpoint=a", "", "")} {
		add("behind a list", rawGet(rawList)+second, rawGet(rawList)+rawGet("/_ping")+second, rawPost(rawCreate, rawJSON, none)+second)
		add("behind a body of GET", "GET "+rawList+" HTTP/1.1\r\n"+rawHost+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(second))+second)
		add("in a body", rawPost(rawCreate, rawJSON, second), rawPost("/v1.41/containers/none/start", "", second), rawPost("/v1.41/containers/none/attach?stream=1&stdin=1", "Connection: Upgrade\r\nUpgrade: tcp\r\n", second))
		add("behind an upgrade", "POST /v1.41/containers/none/attach?stream=1 HTTP/1.1\r\n"+rawHost+"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"+second, "GET "+rawList+" HTTP/1.1\r\n"+rawHost+"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"+second)
		add("behind a refusal", rawGet("/nothing")+second, rawGet("/containers//json")+second, "GET "+rawList+" HTTP/1.1\r\n"+rawHost+"Connection: close\r\n\r\n"+second, "GET "+rawList+" HTTP/1.0\r\n\r\n"+second)
	}
	for i := range all {
		all[i].name = fmt.Sprintf("%d %s", i, all[i].name)
	}
	return slices.Clip(all)
}

// rawBodies are creates of a container.
func rawBodies() []string {
	utf16 := ""
	for _, c := range none {
		utf16 += string(c) + "\x00"
	}
	return []string{
		none, " " + none, none + " \r\n\t", "\xef\xbb\xbf" + none, "\xff\xfe" + utf16, utf16, "\x00" + none, none + "\x00", none + none, none + "x", none + "]", none + ",", none + "\n" + `{"Image":"other"}`, none[:15], "{" + none + "}", "[" + none + "]", "(" + none + ")",
		`{"Image":"none","Image":"other"}`, `{"Image":"other","image":"none"}`, `{"image":"none"}`, `{"IMAGE":"none"}`, `{"Image":"other","IMAGE":"none","image":"third"}`, `{"\u0049mage":"none"}`, `{"Image ":"none"}`, `{"Image\u0000":"none"}`, `{"":"none"}`, `{"İmage":"none"}`, `{"ımage":"none"}`, `{"Image":"n\u006fne"}`, `{"Image":"none","hoſtconfig":{"Memory":4}}`, `{"Image":"none","HostConfig":{"Memory":4},"hostconfig":{"Memory":0}}`,
		`{"Image":"none","Image":null}`, `{"Image":null,"image":"none"}`, `{"Image":["none"]}`, `{"Image":{"a":"none"}}`, `{"Image":1}`, `{"Image":true}`, `{"Image":""}`, `{"Image":"none:latest"}`, `{"Image":"NONE"}`, `{"Image":"none\u0000"}`, `{"Image":"none\n"}`, `{"Image":"none@sha256:x"}`, `{"Image":"../none"}`, "{\"Image\":\"none\xff\"}", `{"Image":"none\ud800"}`, `{"Image":"none\ud83d\ude00"}`, "{\"Image\":\"none\t\"}", `{"Image":"none\/x"}`, `{"Image":'none'}`, `{Image:"none"}`, `{"Image":"none",}`, `{"Image":"none"/**/}`, `{"Image":"none"}//`, `{"Image" "none"}`,
		"null", "[]", `""`, "0", "true", "{}", "", " ", "nul", "NaN", "{", "[", `{"Image"`, `{"Image":"none","HostConfig":null}`, `{"Image":"none","HostConfig":[]}`, `{"Image":"none","HostConfig":{}}`, `{"Image":"none","HostConfig":""}`,
		`{"Image":"none","HostConfig":{"Memory":1e7}}`, `{"Image":"none","HostConfig":{"Memory":1E+7}}`, `{"Image":"none","HostConfig":{"Memory":10000000.0}}`, `{"Image":"none","HostConfig":{"Memory":99999999999999999999}}`, `{"Image":"none","HostConfig":{"Memory":-0}}`, `{"Image":"none","HostConfig":{"Memory":"7"}}`, `{"Image":"none","HostConfig":{"Memory":07}}`, `{"Image":"none","HostConfig":{"Memory":+7}}`, `{"Image":"none","HostConfig":{"Memory":.7}}`, `{"Image":"none","HostConfig":{"Memory":0x7}}`, `{"Image":"none","HostConfig":{"Memory":Infinity}}`, `{"Image":"none","HostConfig":{"Memory":1e400}}`, `{"Image":"none","HostConfig":{"Memory":true}}`, `{"Image":"none","HostConfig":{"Privileged":"true"}}`, `{"Image":"none","HostConfig":{"Privileged":1}}`,
		`{"Image":"none","Cmd":"sh"}`, `{"Image":"none","Cmd":[]}`, `{"Image":"none","Cmd":null}`, `{"Image":"none","Cmd":[null]}`, `{"Image":"none","Cmd":[1]}`, `{"Image":"none","Labels":[]}`, `{"Image":"none","Labels":{"a":null}}`, `{"Image":"none","Labels":{"a":1}}`, `{"Image":"none","Labels":{"a":"b","a":"c"}}`, `{"Image":"none","ExposedPorts":{"80/tcp":null}}`, `{"Image":"none","Volumes":{"/a":null}}`, `{"Image":"none","unknown":1}`, `{"Image":"none","Unknown":{"Image":"x"}}`,
		`{"Image":"none","Labels":{"a":` + strings.Repeat("[", 12000) + strings.Repeat("]", 12000) + `}}`, `{"Image":"none","x":` + strings.Repeat(`{"a":`, 300) + "1" + strings.Repeat("}", 300) + "}",
	}
}
