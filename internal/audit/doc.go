// Package audit owns audit_logs: who did what, to what, from where (contract section 9.4). The row is written in the
// transaction of the operation it describes, so there is no write without its row. Nothing changes a row afterwards.
package audit
