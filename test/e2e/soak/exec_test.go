package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// exec runs a command and takes its connection over, as docker exec does: what goes in must come out.
func (c *caller) exec(container string) error {
	var made struct{ ID string }
	req, err := http.NewRequest(http.MethodPost, "http://docker/v1.41"+container+"/exec", strings.NewReader(`{"Cmd":["cat"],"AttachStdin":true,"AttachStdout":true,"Tty":false}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	c.asked.Add(1)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusServiceUnavailable {
		return errAgain
	}
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || res.StatusCode != http.StatusCreated {
		return fmt.Errorf("exec: %s: %w", res.Status, err)
	}

	conn, err := c.user.Dial(c.process.Socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	const body = `{"Detach":false,"Tty":false}`
	fmt.Fprintf(conn, "POST /v1.41/exec/%s/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", made.ID, len(body), body)
	c.asked.Add(1)
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return fmt.Errorf("exec start: %w", err)
	}
	if answer.StatusCode == http.StatusServiceUnavailable {
		return errAgain
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("exec start: %s", answer.Status)
	}
	const said = "hello"
	if _, err := io.WriteString(conn, said); err != nil {
		return fmt.Errorf("exec's input: %w", err)
	}
	out := make([]byte, 8+len(said)) // a frame's head, and what was said
	if _, err := io.ReadFull(in, out); err != nil || string(out[8:]) != said {
		return fmt.Errorf("exec's output: %q: %w", out, err)
	}
	return nil
}
