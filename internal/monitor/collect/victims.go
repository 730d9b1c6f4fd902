package collect

import "vitrine/internal/kernel/kmsg"

// openLog: the monitor usually has no right to read the kernel's log, and does without.
func (c *Collector) openLog() {
	if c.cfg.Kmsg == "" {
		return
	}
	log, err := kmsg.Open(c.cfg.Kmsg)
	if err != nil {
		c.cfg.Log.Info("victims of the OOM killer are counted, but not named", "reason", err)
		return
	}
	c.victims = log.Victims
}

// readLog notes whom the kernel's log names. Before the counters are read, so that
// the kills of those victims are counted.
func (c *Collector) readLog() {
	if c.victims == nil {
		return
	}
	victims, err := c.victims()
	c.check(sourceProc, "the kernel's log", &c.failing.log, err)
	for _, v := range victims {
		for _, t := range c.known {
			if v.Within(t.memory) {
				t.oom.Victim(v)
			}
		}
	}
}
