// Package apikey owns api_keys, the credentials of the JSON API (contract section 9.1), and api_key_calls, how often each was used on
// a day. The dashboard manages them, the API authenticates with them.
//
// A key is shown once and stored as a keyed hash under a master key; a hash that an older master key made is renewed
// when its key is used.
package apikey
