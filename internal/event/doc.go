// Package event owns the events table: what happened, of which type, and for every endpoint of the organization whether
// it was served and why (contract section 3). Events hold no payload and no personal data. The delivery room inserts
// them as part of publishing; the doors list them.
package event
