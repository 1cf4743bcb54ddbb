// Package badreceiver is the other side in tests and in the demo: the public receiver, which imports nothing of this
// system, made to misbehave on request.
package badreceiver
