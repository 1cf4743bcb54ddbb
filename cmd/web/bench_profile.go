package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
)

// profileFlag lets the benchmark ask a process for a profile of itself.
type profileFlag struct {
	CPUProfile string `hidden:"" type:"path"`
}

// begin starts the profile, if one is wanted; the returned function ends it.
func (f profileFlag) begin() (end func(), err error) {
	if f.CPUProfile == "" {
		return func() {}, nil
	}
	file, err := os.Create(f.CPUProfile)
	if err != nil {
		return nil, usagef("--cpu-profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, fmt.Errorf("start profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}, nil
}

// profiled adds the profile's path to a command, if one is wanted.
func (s *site) profiled(command string) []string {
	if s.profile == "" {
		return []string{command}
	}
	return []string{command, "--cpu-profile", filepath.Join(s.profile, s.database+"-"+command+".pprof")}
}

// watchStatements lets Postgres add up what its statements cost.
func (s *benchStack) watchStatements() error {
	if s.profile == "" {
		return nil
	}
	const ownerDir = 0o700
	if err := os.MkdirAll(s.profile, ownerDir); err != nil {
		return usagef("--profile: %w", err)
	}
	if _, err := s.admin.Exec(s.env.ctx, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'"); err != nil {
		return fmt.Errorf("watch statements: %w", err)
	}
	if err := s.stack.RestartPostgres(s.env.ctx); err != nil {
		return err
	}
	s.admin.Reset()
	for _, statement := range []string{"CREATE EXTENSION pg_stat_statements", "ALTER SYSTEM SET pg_stat_statements.track_planning = on", "SELECT pg_reload_conf()"} {
		if _, err := s.admin.Exec(s.env.ctx, statement); err != nil {
			return fmt.Errorf("watch statements: %w", err)
		}
	}
	return nil
}

// saveStatements writes the site's costliest statements.
func (s *site) saveStatements() error {
	if s.profile == "" {
		return nil
	}
	rows, err := s.admin.Query(s.ctx, `SELECT round(total_exec_time)::text || ' ms  ' || round(total_plan_time) || ' ms planning ' || plans || ' plans  ' || calls || ' calls  ' || rows || ' rows  ' || round(wal_bytes / 1000) || ' kB log  ' ||
		shared_blks_hit + shared_blks_read || ' buffers  ' || left(regexp_replace(query, '\s+', ' ', 'g'), 160)
		FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid WHERE datname = $1 ORDER BY total_exec_time DESC LIMIT 40`, s.database)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	defer rows.Close()
	var text strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return fmt.Errorf("read statements: %w", err)
		}
		text.WriteString(line + "\n")
	}
	const ownerOnly = 0o600
	return os.WriteFile(filepath.Join(s.profile, s.database+"-statements.txt"), []byte(text.String()), ownerOnly)
}
