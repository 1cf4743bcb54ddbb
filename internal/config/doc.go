// Package config turns the environment into one validated struct and reports every problem at once. Only cmd/web imports
// it; everything else is handed what it needs.
package config
