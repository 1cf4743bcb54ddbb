package idempotency

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

const (
	// TTL is how long an answer is given again (IDEMPOTENCY_TTL).
	TTL = 24 * time.Hour
	// KeyMax bounds a key (IDEMPOTENCY_KEY_MAX).
	KeyMax = 255
)

// The refusals of Once.
var (
	// ErrReused reports a key that already belongs to a different request.
	ErrReused = fault.New(fault.Conflict, fault.CodeIdempotencyConflict, "This Idempotency-Key was used for a different request.").
			WithHint("Use a new key for every new request.")
	// ErrRunning reports that the first request with the key has not ended; the door adds Retry-After.
	ErrRunning = fault.New(fault.Conflict, fault.CodeIdempotencyConflict, "The first request with this Idempotency-Key is still running.").
			WithHint("Send the request again after a moment.")
)

// Request is what a key stands for.
type Request struct {
	APIKey id.APIKey
	// Key is the header's value.
	Key string
	// Method, Path and Body are compared as they are, by fingerprint.
	Method, Path string
	Body         []byte
}

// Response is a successful answer.
type Response struct {
	Status int
	Body   []byte
}

// record is one row of idempotency_keys.
type record struct {
	ID             uuid.UUID
	APIKeyID       id.APIKey
	IdempotencyKey string
	Fingerprint    string
	MasterKeyID    string
	StatusCode     int
	SealedResponse string
	CreatedAt      time.Time
}

// TableName names the table.
func (record) TableName() string { return "idempotency_keys" }

func subject(record uuid.UUID) string { return "idempotency:" + record.String() }

// ValidKey reports whether a header value can be a key: 1 to KeyMax printable ASCII characters.
func ValidKey(key string) bool {
	for _, b := range []byte(key) {
		if b < 0x20 || b > 0x7e {
			return false
		}
	}
	return key != "" && len(key) <= KeyMax
}

// Once runs the operation at most once per key within TTL, inside the caller's transaction. It returns the first answer,
// and whether it was given before. An error of run is returned as it is and stores nothing: the caller rolls back, and
// the key is free again. ErrReused, ErrRunning.
func Once(tx *postgres.Tx, keyring *seal.Keyring, req Request, run func() (Response, error)) (Response, bool, error) {
	// The lock is what tells a request that is still running from one that never was: its row is not visible yet.
	free, err := tx.TryLock("idempotency:" + req.APIKey.String() + ":" + req.Key)
	if err != nil {
		return Response{}, false, fmt.Errorf("lock idempotency key: %w", err)
	}
	if !free {
		return Response{}, false, ErrRunning
	}
	earlier, found, err := find(tx, req)
	if err != nil {
		return Response{}, false, err
	}
	if found {
		response, err := earlier.answer(keyring, req)
		return response, err == nil, err
	}
	response, err := run()
	if err != nil {
		return Response{}, false, err
	}
	return response, false, insert(tx, keyring, req, response)
}

// find returns the record of the key, after dropping one that is too old to count.
func find(tx *postgres.Tx, req Request) (record, bool, error) {
	var r record
	err := tx.Where("api_key_id = ? AND idempotency_key = ?", req.APIKey, req.Key).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return record{}, false, nil
	}
	if err != nil {
		return record{}, false, fmt.Errorf("load idempotency record: %w", err)
	}
	if tx.Now.Sub(r.CreatedAt) < TTL {
		return r, true, nil
	}
	if err := tx.Exec("DELETE FROM idempotency_keys WHERE id = $1", r.ID).Error; err != nil {
		return record{}, false, fmt.Errorf("drop idempotency record: %w", err)
	}
	return record{}, false, nil
}

func (r record) answer(keyring *seal.Keyring, req Request) (Response, error) {
	if !keyring.Matches(seal.Idempotency, r.MasterKeyID, r.Fingerprint, req.fingerprint()) {
		return Response{}, ErrReused
	}
	body, err := keyring.Open(subject(r.ID), r.SealedResponse)
	if err != nil {
		return Response{}, fmt.Errorf("open stored response: %w", err)
	}
	return Response{Status: r.StatusCode, Body: []byte(body)}, nil
}

func insert(tx *postgres.Tx, keyring *seal.Keyring, req Request, response Response) error {
	r := record{ID: tx.NewUUID(), APIKeyID: req.APIKey, IdempotencyKey: req.Key, StatusCode: response.Status, CreatedAt: tx.Now}
	r.Fingerprint, r.MasterKeyID = keyring.Hash(seal.Idempotency, req.fingerprint())
	sealed, err := keyring.Seal(subject(r.ID), string(response.Body))
	if err != nil {
		return fmt.Errorf("seal response: %w", err)
	}
	r.SealedResponse = sealed
	if err := tx.Create(&r).Error; err != nil {
		if postgres.IsUnique(err, "idempotency_keys_key") {
			return ErrRunning
		}
		return fmt.Errorf("insert idempotency record: %w", err)
	}
	return nil
}

// fingerprint joins with line breaks, which neither a method nor a path contains.
func (req Request) fingerprint() string {
	return req.Method + "\n" + req.Path + "\n" + string(req.Body)
}

// Purge deletes up to limit records older than TTL and returns how many there were.
func Purge(tx *postgres.Tx, limit int) (int64, error) {
	res := tx.Exec(`DELETE FROM idempotency_keys WHERE id IN (
		SELECT id FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, tx.Now.Add(-TTL), limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge idempotency records: %w", res.Error)
	}
	return res.RowsAffected, nil
}
