// Package id holds the TypeIDs of the system (TypeID specification 0.3.0, contract section 2.1): a prefix and a UUIDv7
// in base32 at the edge, a native uuid in the database.
package id
