package gateway

import (
	"context"
	"net/http"
)

// known says how a request is answered that was denied a moment ago, byte for byte; nil if it was not. Whether it is denied again package decide
// says, once more for each; and what it does not deny goes the way of every request.
func (s *Server) known(c *conn, raw []byte) func(w http.ResponseWriter) bool {
	who := s.identityOf(c)
	if who == nil || s.cfg.Denied == nil {
		return nil
	}
	denied := s.cfg.Denied(who, raw)
	if denied == nil {
		return nil
	}
	return func(w http.ResponseWriter) bool {
		s.requests.Add(1)
		defer s.requests.Done()
		if s.closed() != "" {
			return false
		}
		again, ok := denied.Again(context.Background(), who)
		if ok {
			s.conns.attribute(c, again.Caller)
			refuseWith(w, again.Status, denied.Answer(errorBody))
		}
		return ok
	}
}
