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
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	if again(res.StatusCode, text) {
		return errAgain
	}
	if err := json.Unmarshal(text, &made); err != nil || res.StatusCode != http.StatusCreated {
		return fmt.Errorf("exec: %s: %.300s", res.Status, text)
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
	if answer.StatusCode != http.StatusSwitchingProtocols {
		text, err := io.ReadAll(answer.Body)
		if err == nil && again(answer.StatusCode, text) {
			return errAgain
		}
		return fmt.Errorf("exec start: %s: %.300s", answer.Status, text)
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
