package decide

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A deadline is what context.WithTimeout gives, seen from outside, whether or not
// somebody waits for it.
func TestDeadlineIsATimeout(t *testing.T) {
	for name, wait := range map[string]bool{"asked": false, "waited for": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(t.Context())
				late, stopped, orphan := withDeadline(parent, time.Second), withDeadline(parent, time.Hour), withDeadline(parent, time.Hour)
				defer late.stop()
				defer orphan.stop()
				all := []*deadline{late, stopped, orphan}
				if wait {
					for _, d := range all {
						_ = d.Done()
					}
				}
				for _, d := range all {
					if d.Err() != nil {
						t.Fatal(d.Err())
					}
				}
				time.Sleep(time.Second)
				synctest.Wait()
				stopped.stop()
				if !errors.Is(late.Err(), context.DeadlineExceeded) || !errors.Is(stopped.Err(), context.Canceled) || orphan.Err() != nil {
					t.Errorf("%v, %v, %v", late.Err(), stopped.Err(), orphan.Err())
				}
				if late.stop(); wait && !errors.Is(late.Err(), context.DeadlineExceeded) {
					t.Errorf("that it was too late has become %v", late.Err())
				}
				cancel()
				synctest.Wait()
				if !errors.Is(orphan.Err(), context.Canceled) {
					t.Error(orphan.Err())
				}
				for _, d := range all {
					<-d.Done()
				}
				child, cancelChild := context.WithTimeout(withDeadline(context.Background(), time.Second), time.Hour)
				defer cancelChild()
				<-child.Done()
				if at, _ := withDeadline(child, time.Hour).Deadline(); time.Until(at) > 0 {
					t.Error("the parent's deadline is sooner")
				}
			})
		})
	}
}
