// Package seal keeps secrets at rest: signing secrets and stored responses as compact JWEs bound to the record they
// belong to, API keys and cancel tokens as keyed hashes only. Everything derives from an ordered list of master keys,
// of which the first writes and all read (contract sections 2.2 to 2.4). It does no I/O.
package seal
