// Package static embeds the assets of the dashboard and serves them under names
// that carry a hash of their content.
//
// Templates ask URL for the address of an asset; Handler answers it with a
// year-long immutable cache entry. A changed file gets a new name, so browsers
// never show a stale stylesheet and never have to ask again for a fresh one.
// Files are hashed and compressed once, when the program starts. There is no
// build step, no CDN and no web font.
package static
