// Package logging sets slog up: text or JSON, the ids that a context carries, and redaction as a backstop. The rule is
// that nobody logs a secret; the backstop is for the day somebody does.
package logging
