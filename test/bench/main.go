// Command bench measures what Vitrine costs a request, against floors that do
// nothing: a plugin that only says yes, an empty httputil.ReverseProxy, and
// dockerd's bare socket. All of it runs on real private Engines in one run, and
// requests to the variants alternate, so that only ratios need to be believed.
//
// scripts/bench.sh runs it; docs/performance.md quotes it.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		if helper, ok := helpers()[os.Args[1]]; ok {
			exit(helper(os.Args[2:]))
		}
	}
	n := flag.Int("n", 20000, "requests to each variant of each endpoint")
	binary := flag.String("binary", "build/authz-plugin", "the authz-plugin to measure")
	ping := flag.Bool("ping", false, "measure GET /_ping alone")
	flag.Parse()
	exit(run(*binary, *n, *ping))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

// run measures every endpoint and prints a table each.
func run(binary string, n int, ping bool) (err error) {
	b, err := open(binary)
	if err != nil {
		return errors.Join(err, b.close())
	}
	defer func() { err = errors.Join(err, b.close()) }()

	fmt.Printf("%d requests to each variant, alternating; times in microseconds\n", n)
	if err := b.measure("GET /_ping", "/_ping", n); err != nil || ping {
		return err
	}
	for _, containers := range []int{0, 10, 100} {
		if err := b.fill(containers); err != nil {
			return err
		}
		title := fmt.Sprintf("GET /containers/json, %d containers", containers)
		if err := b.measure(title, "/containers/json?all=1", n); err != nil {
			return err
		}
	}
	return b.footprint()
}

// variant is one way to ask an Engine.
type variant struct {
	name   string
	socket string
	// floor is the variant that this one is held against; goal is the most that
	// its median may be, as a ratio. "" and 0 for the floors themselves.
	floor string
	goal  float64

	conn  net.Conn
	r     *bufio.Reader
	times []time.Duration
}

// measure asks every variant in turn, n times each.
func (b *bench) measure(title, uri string, n int) error {
	request := []byte("GET " + uri + " HTTP/1.1\r\nHost: docker\r\n\r\n")
	for _, v := range b.variants {
		if err := v.dial(); err != nil {
			return err
		}
		defer v.conn.Close()
		v.times = make([]time.Duration, 0, n)
	}
	warm := max(200, n/20)
	for i := range n + warm {
		for j := range b.variants {
			v := b.variants[(i+j)%len(b.variants)] // nobody is always behind the same one
			took, err := v.ask(request)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", v.name, title, err)
			}
			if i >= warm {
				v.times = append(v.times, took)
			}
		}
	}
	return b.report(title)
}

// ask sends one request on the variant's connection and reads the whole answer.
func (v *variant) ask(request []byte) (time.Duration, error) {
	start := time.Now()
	status, err := v.exchange(request)
	took := time.Since(start)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	return took, err
}

func (v *variant) exchange(request []byte) (status int, err error) {
	if _, err := v.conn.Write(request); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(v.r, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// dial opens the variant's connection anew.
func (v *variant) dial() (err error) {
	if v.conn, err = net.Dial("unix", v.socket); err != nil {
		return fmt.Errorf("%s: %w", v.name, err)
	}
	v.r = bufio.NewReaderSize(v.conn, 64<<10)
	return nil
}

func (v *variant) percentile(p float64) time.Duration {
	return v.times[min(len(v.times)-1, int(float64(len(v.times))*p))]
}

// report prints one endpoint's table: medians and 99th percentiles, each as a
// ratio to the variant's floor, with the goal for the median.
func (b *bench) report(title string) error {
	byName := map[string]*variant{}
	for _, v := range b.variants {
		slices.Sort(v.times)
		byName[v.name] = v
	}
	fmt.Printf("\n%s\n", title)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "variant\tp50\tp99\tagainst\tp50 ratio\tgoal\tp99 ratio\t")
	for _, v := range b.variants {
		p50, p99 := v.percentile(.5), v.percentile(.99)
		fmt.Fprintf(w, "%s\t%d\t%d\t", v.name, p50.Microseconds(), p99.Microseconds())
		if f := byName[v.floor]; f != nil {
			goal := "-"
			if v.goal > 0 {
				goal = fmt.Sprintf("%.2f", v.goal)
			}
			fmt.Fprintf(w, "%s\t%.2f\t%s\t%.2f\t", v.floor, ratio(p50, f.percentile(.5)), goal, ratio(p99, f.percentile(.99)))
		} else {
			fmt.Fprint(w, "-\t-\t-\t-\t")
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
