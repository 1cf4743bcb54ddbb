package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"io"
)

// Keyring seals, opens and hashes with the keys derived from the master keys. It is safe for concurrent use.
type Keyring struct {
	keys []derived // in the order of MASTER_KEYS; the first one writes
	byID map[string]*derived
	rand io.Reader // source of IVs; only tests replace it
}

// derived holds what HKDF makes of one master key. The master key itself is not kept.
type derived struct {
	id   string
	aead cipher.AEAD
	hmac map[Label][]byte
}

// NewKeyring derives all keys. It panics without a master key or with two of one id: ParseMasterKeys gives neither.
func NewKeyring(masters []MasterKey) *Keyring {
	if len(masters) == 0 {
		panic("seal: a keyring needs a master key")
	}
	k := &Keyring{keys: make([]derived, len(masters)), byID: make(map[string]*derived, len(masters)), rand: rand.Reader}
	for i, m := range masters {
		if k.byID[m.ID] != nil {
			panic("seal: two master keys have the id " + m.ID)
		}
		k.keys[i] = derive(m)
		k.byID[m.ID] = &k.keys[i]
	}
	return k
}

// FirstKeyID is the id of the master key that seals and hashes.
func (k *Keyring) FirstKeyID() string { return k.keys[0].id }

// KeyIDs returns the ids of all master keys, the first one first.
func (k *Keyring) KeyIDs() []string {
	ids := make([]string, len(k.keys))
	for i := range k.keys {
		ids[i] = k.keys[i].id
	}
	return ids
}

// String names the keyring without its keys.
func (k *Keyring) String() string { return "keyring " + k.FirstKeyID() }

// GoString names the keyring without its keys.
func (k *Keyring) GoString() string { return k.String() }
