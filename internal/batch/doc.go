// Package batch joins concurrent calls into one.
package batch
