// Package login owns login_sessions: signing in to the dashboard with address and password, the session behind the
// cookie, re-authentication, and the message that waits for the next page. The dashboard is its only caller.
//
// The cookie carries an opaque token of which only the SHA-256 is stored. A session ends 12 hours after it was last seen
// and 7 days after sign-in, and grants nothing while the membership is suspended.
package login
