// Package page is the page at / of the monitor, and the JSON under /api/ that it draws.
//
// It shows what packages status and asks know, and changes nothing. The files are
// built from web/ by make web, embedded, and ask nobody else for anything: the
// Content-Security-Policy says so, and forbids scripts and styles that stand in the document, so
// that a name that came out as HTML by a fault of ours could still do nothing. All names, labels, tags and messages
// are the choice of whoever may create containers or send metrics, and travel as JSON.
//
// Who may look:
//
//   - with a token, who brings it as a bearer (the page asks for it, and keeps it for the tab): no
//     cookie, so that no other site's request carries it, nor another port's of the same host;
//   - without one, who reaches loopback or a Unix socket, if the request's Host is a name of
//     loopback: a site whose name was rebound to 127.0.0.1 brings its own;
//   - on another address without a token: nobody. The answer says what to do.
//
// A request that a browser makes for another site (Sec-Fetch-Site, Origin) is refused, there is no CORS, and nobody may
// frame the page. 32 streams are open at most, and 16 other requests.
package page

import (
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"

	"vitrine/internal/fair"
	"vitrine/internal/monitor/asks"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/status"
	"vitrine/internal/monitor/tag"
)

//go:embed dist
var built embed.FS

// Limits of what is answered at once.
const (
	streamsMost  = 32
	requestsMost = 16
	// connectionsMost are on one listener. Each costs a descriptor, and some KB; of descriptors the monitor needs some for each container.
	connectionsMost = 512
)

// Bound is l with a bound on connections; from no address there are more of them than are left for others.
func Bound(l net.Listener) net.Listener {
	return fair.Listener(l, connectionsMost, fair.Source)
}

// Options are the parts of a Page.
type Options struct {
	Status *status.Keeper
	Asks   *asks.Reader
	// DogStatsD answers with senders, quotas and refused lines, and Sent is the latest interval of
	// messages; nil if none are received. Tags are a container's by its id.
	DogStatsD http.Handler
	Sent      func() *messages.Snapshot
	Tags      func(id string, level tag.Cardinality) ([]tag.Tag, bool)
	// Watch makes collections more frequent until stop is called.
	Watch func() (stop func())
	// Token is what a caller must bring; "" for nothing.
	Token string
}

// Page answers.
type Page struct {
	o     Options
	files map[string]file
	api   *http.ServeMux
	live  live
	slots chan struct{}
}

type file struct {
	content []byte
	kind    string
	etag    string
}

// New makes it. The caller calls [Page.Collected] and [Page.Asked] when there is news.
func New(o Options) (*Page, error) {
	p := &Page{o: o, files: map[string]file{}, api: http.NewServeMux(), slots: make(chan struct{}, requestsMost)}
	p.live.slots, p.live.news = make(chan struct{}, streamsMost), make(chan struct{})
	p.live.state.version, p.live.board.version = 1, 1
	if err := p.load(); err != nil {
		return nil, err
	}
	p.api.HandleFunc("GET /api/state", func(w http.ResponseWriter, _ *http.Request) { answer(w, o.Status.State()) })
	p.api.HandleFunc("GET /api/sparks", func(w http.ResponseWriter, _ *http.Request) { answer(w, o.Status.Sparks(sparkSteps)) })
	p.api.HandleFunc("GET /api/containers/{id}", p.container)
	p.api.HandleFunc("GET /api/containers/{id}/history", p.history)
	p.api.HandleFunc("GET /api/board", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.board()) })
	p.api.HandleFunc("GET /api/board/cell", p.cell)
	p.api.HandleFunc("GET /api/board/shapes", p.shapes)
	p.api.HandleFunc("GET /api/dogstatsd", p.dogstatsd)
	p.api.HandleFunc("GET /api/authz-plugin/metrics", p.pluginMetrics)
	return p, nil
}

// sparkSteps are a quarter of an hour.
const sparkSteps = 60

// load reads the embedded files.
func (p *Page) load() error {
	return fs.WalkDir(built, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := built.ReadFile(name)
		if err != nil {
			return err
		}
		kind := mime.TypeByExtension(path.Ext(name))
		if path.Ext(name) == ".js" { // whatever this machine's table says
			kind = "text/javascript; charset=utf-8"
		}
		sum := sha256.Sum256(content)
		at := strings.TrimPrefix(name, "dist")
		if at == "/index.html" {
			at = "/"
		}
		p.files[at] = file{content, kind, `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
}

// Door says who may come in by a listener.
type Door int

// The doors.
const (
	closedDoor Door = iota // nobody
	localDoor              // whoever reaches it, by a name of loopback
	tokenDoor              // who brings the token
)

// String is the door as the log has it.
func (d Door) String() string { return [...]string{"not shown", "shown", "with a token"}[d] }

// DoorOf is the door of a listener.
func DoorOf(at net.Addr, token string) Door {
	if at.Network() == "unix" {
		return localDoor
	}
	if token != "" {
		return tokenDoor
	}
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return localDoor
	}
	return closedDoor
}

const closed = `vitrine: the page is not shown on this address, which others may reach, without a token. Give the monitor
  --page-token-file FILE    with a token of 20 characters or more; the page asks for it, or
  --http 127.0.0.1:9780     and forward a port to it: ssh -L 9780:127.0.0.1:9780 HOST, or
  --http unix:///run/vitrine-page/page.sock
/metrics, /dogstatsd and /healthz are answered here as ever.
`

// Handler answers for the page and the API on a door.
func (p *Page) Handler(door Door) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header(w.Header())
		switch {
		case door == closedDoor:
			http.Error(w, closed, http.StatusForbidden)
		case door == localDoor && !loopback(r.Host):
			http.Error(w, "vitrine: this is answered to requests for localhost, 127.0.0.1 or [::1] alone", http.StatusMisdirectedRequest)
		case foreign(r):
			http.Error(w, "vitrine: this is not answered to other sites", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "vitrine: the page changes nothing", http.StatusMethodNotAllowed)
		case !strings.HasPrefix(r.URL.Path, "/api/"):
			p.static(w, r)
		case door == tokenDoor && !p.bears(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "vitrine: give the token of --page-token-file", http.StatusUnauthorized)
		case r.URL.Path == "/api/live":
			p.stream(w, r)
		default:
			p.ask(w, r)
		}
	})
}

func header(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// loopback says that a Host names this machine, and no other can be made to name it.
func loopback(host string) bool {
	u := url.URL{Host: host}
	name := u.Hostname()
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

// foreign says that a browser asks for another site. What it tells of that cannot be set by a page.
func foreign(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return r.Header.Get("Sec-Fetch-Mode") != "navigate" || strings.HasPrefix(r.URL.Path, "/api/") // a link leads here
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

// bears says that a request brings the token; the time that it takes does not tell of the token.
func (p *Page) bears(r *http.Request) bool {
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(p.o.Token))
	return ok && p.o.Token != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (p *Page) static(w http.ResponseWriter, r *http.Request) {
	f, ok := p.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	h.Set("Content-Type", f.kind)
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(f.content) // the reader left
}

// ask answers a question of the API, if there is room.
func (p *Page) ask(w http.ResponseWriter, r *http.Request) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
		p.api.ServeHTTP(w, r)
	default:
		http.Error(w, "vitrine: too many requests at once", http.StatusServiceUnavailable)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the reader left
}
