// Package devtest gives tests a real PostgreSQL and a real Redis. Each test binary gets servers of its own, started by
// the first test that asks and stopped when the binary ends, however it ends; each test gets a database of its own, a
// clone of one that has been migrated.
//
// A package that needs them has one line of set-up:
//
//	func TestMain(m *testing.M) { devtest.Main(m, migrations.Up) }
//
// Only test files import it. In -short mode a test that asks for a server is skipped.
package devtest
