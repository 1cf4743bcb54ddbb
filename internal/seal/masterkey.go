package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// keySize is the length in bytes of master keys and of every key derived from them.
const keySize = 32

var masterKeyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// MasterKey is one entry of MASTER_KEYS. It prints as its id, so that a stray log line cannot give the key away.
type MasterKey struct {
	ID  string
	Key [keySize]byte `json:"-"`
}

// String returns the id.
func (k MasterKey) String() string { return k.ID }

// GoString returns the id.
func (k MasterKey) GoString() string { return k.ID }

// LogValue returns the id.
func (k MasterKey) LogValue() slog.Value { return slog.StringValue(k.ID) }

// ParseMasterKeys reads MASTER_KEYS: one or more "id:base64 of 32 bytes", separated by commas, the first being the one
// that seals and hashes. Both base64 alphabets are accepted, padded or not. Errors report every bad entry at once, by
// position and, where it has a proper one, id; they never repeat a value.
func ParseMasterKeys(s string) ([]MasterKey, error) {
	if strings.TrimSpace(s) == "" {
		return nil, errors.New("no master key given")
	}
	var (
		keys     []MasterKey
		problems []error
		seen     = map[string]bool{}
	)
	for i, entry := range strings.Split(s, ",") {
		key, err := parseMasterKey(strings.TrimSpace(entry))
		switch {
		case err != nil && key.ID != "":
			problems = append(problems, fmt.Errorf("master key %d (%s): %w", i+1, key.ID, err))
		case err != nil:
			problems = append(problems, fmt.Errorf("master key %d: %w", i+1, err))
		case seen[key.ID]:
			problems = append(problems, fmt.Errorf("master key %d (%s): the id is used twice", i+1, key.ID))
		default:
			seen[key.ID] = true
			keys = append(keys, key)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return keys, nil
}

// parseMasterKey returns the id along with an error when the id itself is sound. Text without a colon may be a bare
// key, and is therefore never used as a name.
func parseMasterKey(entry string) (MasterKey, error) {
	id, text, ok := strings.Cut(entry, ":")
	if !ok {
		return MasterKey{}, errors.New(`not of the form "id:base64"`)
	}
	if id = strings.TrimSpace(id); !masterKeyID.MatchString(id) {
		return MasterKey{}, errors.New("the id must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -")
	}
	key := MasterKey{ID: id}
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		// The decoder's error quotes no input today, but is not bound to; it says nothing more useful either.
		return key, errors.New("the key is not base64")
	}
	if len(raw) != keySize {
		return key, fmt.Errorf("the key has %d bytes, want %d", len(raw), keySize)
	}
	copy(key.Key[:], raw)
	return key, nil
}
