// Package org owns organizations, users, memberships and invitations: who belongs to which tenant with which role, and
// the rules of passwords. The dashboard and `web setup` call it; login builds sign-in on it.
//
// A user is one person and may belong to several organizations; the membership carries the role. An organization always
// keeps at least one active owner.
package org
