// Package devstack runs a private PostgreSQL and a private Redis as child processes, so that `web dev` and the
// tests need nothing but the installed programs. Both listen on unix sockets only, belong to the process that
// started them and stop with it, however it ends.
//
// Its callers are `web dev` (a lasting stack in `.data/`) and [kaylehooks/internal/devstack/devtest] (a throw-away
// stack per test binary). It knows nothing of the schema: whoever starts a stack migrates it.
//
// Linux and macOS only. On macOS the children outlive a parent that was killed with SIGKILL; the next Start finds
// and stops them.
package devstack
