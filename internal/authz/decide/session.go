package decide

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
)

// sessionKey is drawn anew for each process.
type sessionKey [32]byte

func newSessionKey() (key sessionKey) {
	_, _ = rand.Read(key[:]) // it never fails
	return key
}

// OwnSession has the daemon know a session of BuildKit, and what is named beside it, by a name that only this caller's requests get: a
// session under another's name is another session, a build that names one has none, and nobody can say the name himself, as a frontend
// could. Nothing is remembered for that. The gateway calls it before it carries a request, and may be denied; the plugin's door cannot
// change a name, and denies by the decision's demand. An admin's names stay as they are.
func (v *Verdict) OwnSession() {
	if v.Decision.Admin {
		return
	}
	owner := ownerOf(v.Caller)
	op, err := v.Carried().WithSession(func(kind, name string) string {
		mac := hmac.New(sha256.New, v.steps.sessions[:])
		for _, part := range []string{owner, kind, name} {
			_, _ = mac.Write(append([]byte(part), 0)) // in none of them is a NUL: one is ours, the others were in a header or a query
		}
		return hex.EncodeToString(mac.Sum(nil))
	})
	switch {
	case err != nil:
		v.deny(http.StatusBadRequest, "bad-request", err.Error())
	case op == v.Carried():
	case owner == "":
		v.deny(http.StatusForbidden, "unknown-caller", "nobody can say whose its session is")
	default:
		v.carried, v.sessioned = op, true
	}
}
