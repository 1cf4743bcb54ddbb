package dashboard

import (
	"net/http"
	"testing"
	"time"
)

func TestKeptForm_HoldsNoKeyFromTheWrongField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	_, private := keyPair(t)
	w.clock.Advance(13 * time.Hour)
	for _, key := range []string{private, `{"kty":"RSA","d" : "c2VjcmV0"}`} {
		b.post("/endpoints", "name", key, "labels", "of mine").is(http.StatusUnauthorized).
			shows(`value="of mine"`).hides("PRIVATE KEY", "c2VjcmV0")
	}
}
