package postgres

import (
	"database/sql/driver"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// TextArray stores a []string in a text[] column.
type TextArray []string

// GormDataType names the column type.
func (TextArray) GormDataType() string { return "text[]" }

// Value encodes the array in Postgres' text form.
func (a TextArray) Value() (driver.Value, error) {
	return encodeArray(pgtype.TextArrayOID, []string(a))
}

// Scan reads Postgres' text form.
func (a *TextArray) Scan(src any) error { return scanArray(pgtype.TextArrayOID, src, (*[]string)(a)) }

// UUIDArray stores a []uuid.UUID in a uuid[] column.
type UUIDArray []uuid.UUID

// GormDataType names the column type.
func (UUIDArray) GormDataType() string { return "uuid[]" }

// Value encodes the array in Postgres' text form.
func (a UUIDArray) Value() (driver.Value, error) {
	texts := make([]string, len(a))
	for i, u := range a {
		texts[i] = u.String()
	}
	return encodeArray(pgtype.TextArrayOID, texts)
}

// Scan reads Postgres' text form.
func (a *UUIDArray) Scan(src any) error {
	var texts []string
	if err := scanArray(pgtype.TextArrayOID, src, &texts); err != nil {
		return err
	}
	*a = make(UUIDArray, len(texts))
	for i, text := range texts {
		u, err := uuid.Parse(text)
		if err != nil {
			return fmt.Errorf("scan uuid array: %w", err)
		}
		(*a)[i] = u
	}
	return nil
}

// UUIDs are the ids of rows as an array of what pgx encodes by itself. Values that encode themselves, as a uuid.UUID does, are asked one by one.
func UUIDs[T any](rows []T, id func(T) uuid.UUID) pgtype.FlatArray[pgtype.UUID] {
	ids := make(pgtype.FlatArray[pgtype.UUID], len(rows))
	for i, row := range rows {
		ids[i] = pgtype.UUID{Bytes: id(row), Valid: true}
	}
	return ids
}

func encodeArray(oid uint32, items []string) (driver.Value, error) {
	if items == nil {
		items = []string{}
	}
	b, err := pgtype.NewMap().Encode(oid, pgtype.TextFormatCode, items, nil)
	if err != nil {
		return nil, fmt.Errorf("encode array: %w", err)
	}
	return string(b), nil
}

func scanArray(oid uint32, src any, dst *[]string) error {
	var b []byte
	switch v := src.(type) {
	case nil:
		*dst = nil
		return nil
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		return fmt.Errorf("scan array: unexpected %T", src)
	}
	if string(b) == "{}" { // as most are: no need to make a map of all types
		*dst = []string{}
		return nil
	}
	if err := pgtype.NewMap().Scan(oid, pgtype.TextFormatCode, b, dst); err != nil {
		return fmt.Errorf("scan array: %w", err)
	}
	return nil
}
