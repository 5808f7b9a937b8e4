//go:build linux

package peers

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

//go:embed pyftpd.py
var pyftpd string

// command writes the server's configuration and gives its command line and environment.
func (s *Server) command(ctx context.Context) (args, env []string, err error) {
	if s.RequireReuse && (s.TLS == Off || (s.Kind != Vsftpd && s.Kind != ProFTPD)) {
		return nil, nil, fmt.Errorf("%s with TLS %s and session reuse required: %w", s.Kind, s.TLS, ErrMissing)
	}
	if s.NoMLSD && s.Kind != ProFTPD {
		return nil, nil, fmt.Errorf("%s without MLSD: %w", s.Kind, ErrMissing)
	}
	switch s.Kind {
	case Vsftpd:
		args, env, err = s.vsftpd()
	case ProFTPD:
		args, env, err = s.proftpd()
	case PureFTPd:
		args, env, err = s.pureFTPd(ctx)
	case Pyftpdlib:
		args, env, err = s.pyftpdlib(ctx)
	default:
		err = fmt.Errorf("no server is called %q", s.Kind)
	}
	return args, append(env, "TZ="+cmp.Or(s.Zone, "UTC")), err
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

func on(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// crypted is the account's password as it is kept.
func (s *Server) crypted() string {
	if s.Locked {
		return noPassword
	}
	return cryptPassword
}

func (s *Server) ipv6() bool { return strings.Contains(s.Host, ":") }

func (s *Server) vsftpd() (args, env []string, err error) {
	bin, env, err := program("vsftpd")
	if err != nil {
		return nil, nil, err
	}
	if os.Getuid() != 0 {
		return nil, nil, fmt.Errorf("vsftpd without root: %w", ErrMissing)
	}
	empty := filepath.Join(s.dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		return nil, nil, err
	}
	address := "listen_address="
	if s.ipv6() {
		address = "listen_address6="
	}
	// vsftpd serves no anonymous user in a folder that he may write to, so a folder within takes the files.
	served := s.Root
	s.Base, s.Root = "pub", filepath.Join(served, "pub")
	if err := errors.Join(os.Chmod(served, 0o755), os.MkdirAll(s.Root, 0o777), os.Chmod(s.Root, 0o777)); err != nil {
		return nil, nil, err
	}
	lines := []string{
		"listen=" + yes(!s.ipv6()), "listen_ipv6=" + yes(s.ipv6()), address + s.Host,
		"listen_port=" + strconv.Itoa(int(s.Port)),
		"background=NO", "anonymous_enable=YES", "local_enable=NO", "anon_root=" + served,
		"write_enable=YES", "anon_upload_enable=YES", "anon_mkdir_write_enable=YES", "anon_other_write_enable=YES",
		"anon_world_readable_only=NO", "anon_umask=022",
		"secure_chroot_dir=" + empty, "isolate=NO", "isolate_network=NO", "seccomp_sandbox=NO",
		"connect_from_port_20=NO", "xferlog_enable=YES", "log_ftp_protocol=YES", "vsftpd_log_file=" + filepath.Join(s.dir, "vsftpd.log"),
		"use_localtime=" + yes(s.Zone != ""), "mdtm_write=YES",
		// An account of every system that has a home folder which exists, as vsftpd wants it.
		"ftp_username=daemon", "nopriv_user=nobody",
	}
	if s.Namespace != "" {
		// An upload whose client has gone without a word keeps its file locked for five minutes otherwise.
		lines = append(lines, "data_connection_timeout=10")
	}
	if s.Locked {
		banned := filepath.Join(s.dir, "banned")
		if err := os.WriteFile(banned, []byte(s.Password+"\n"), 0o644); err != nil {
			return nil, nil, err
		}
		lines = append(lines, "deny_email_enable=YES", "banned_email_file="+banned)
	}
	if s.Sessions != 0 {
		lines = append(lines, fmt.Sprintf("max_clients=%d\nmax_per_ip=%d", s.Sessions, s.Sessions))
	}
	if s.PassiveMin != 0 {
		lines = append(lines, fmt.Sprintf("pasv_min_port=%d\npasv_max_port=%d", s.PassiveMin, s.PassiveMax))
	}
	if s.TLS != Off {
		lines = append(lines, "ssl_enable=YES", "allow_anon_ssl=YES", "rsa_cert_file="+s.CA, "rsa_private_key_file="+s.key(), "ssl_ciphers=HIGH",
			"implicit_ssl="+yes(s.TLS == Implicit), "force_anon_logins_ssl="+yes(s.TLS != Explicit), "force_anon_data_ssl="+yes(s.TLS != Explicit),
			"force_local_logins_ssl=NO", "force_local_data_ssl=NO", "require_ssl_reuse="+yes(s.RequireReuse))
	}
	conf := filepath.Join(s.dir, "vsftpd.conf")
	return []string{bin, conf}, env, os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

func (s *Server) proftpd() (args, env []string, err error) {
	bin, env, err := program("proftpd")
	if err != nil {
		return nil, nil, err
	}
	modules := filepath.Join(filepath.Dir(bin), "../lib/proftpd")
	user, group := "nobody", "nogroup"
	uid, gid := 65534, 65534
	if os.Getuid() != 0 {
		uid, gid = os.Getuid(), os.Getgid()
		user, group = "#"+strconv.Itoa(uid), "#"+strconv.Itoa(gid)
	}
	accounts := filepath.Join(s.dir, "accounts")
	line := fmt.Sprintf("%s:%s:%d:%d::%s:/bin/false\n", User, s.crypted(), uid, gid, s.Root)
	if err := os.WriteFile(accounts, []byte(line), 0o600); err != nil {
		return nil, nil, err
	}
	lines := []string{
		"ServerName peer", "ServerType standalone", "UseIPv6 " + on(s.ipv6()), "DefaultAddress " + s.Host, "SocketBindTight on",
		fmt.Sprintf("Port %d", s.Port), "User " + user, "Group " + group, "Umask 022",
		"ModulePath " + modules, "PidFile " + filepath.Join(s.dir, "pid"), "ScoreboardFile " + filepath.Join(s.dir, "scoreboard"),
		"SystemLog " + filepath.Join(s.dir, "system.log"), "TransferLog none", "WtmpLog off", "UseReverseDNS off", "DelayEngine off",
		"AuthOrder mod_auth_file.c", "AuthUserFile " + accounts, "RequireValidShell off", "DefaultRoot ~",
		"AllowOverwrite on", "AllowStoreRestart on", "MaxInstances 60", "TimeoutLinger 5", "TimesGMT " + on(s.Zone == ""),
	}
	if s.NoMLSD {
		lines = append(lines, "FactsAdvertise off")
	}
	if s.PassiveMin != 0 {
		lines = append(lines, fmt.Sprintf("PassivePorts %d %d", s.PassiveMin, s.PassiveMax))
	}
	if s.Anonymous {
		lines = append(lines, "<Anonymous "+s.Root+">", "User "+user, "Group "+group, "UserAlias anonymous "+user, "RequireValidShell off",
			"</Anonymous>")
	}
	if s.TLS != Off {
		if _, err := os.Stat(filepath.Join(modules, "mod_tls.so")); err != nil {
			return nil, nil, fmt.Errorf("mod_tls of ProFTPD: %w", ErrMissing)
		}
		var options []string
		if !s.RequireReuse {
			options = append(options, "NoSessionReuseRequired")
		}
		if s.TLS == Implicit {
			options = append(options, "UseImplicitSSL")
		}
		lines = append(lines, "LoadModule mod_tls.c", "TLSEngine on", "TLSLog "+filepath.Join(s.dir, "tls.log"), "TLSRSACertificateFile "+s.CA,
			"TLSRSACertificateKeyFile "+s.key(), "TLSVerifyClient off", "TLSRequired "+on(s.TLS != Explicit))
		if len(options) > 0 {
			lines = append(lines, "TLSOptions "+strings.Join(options, " "))
		}
	}
	conf := filepath.Join(s.dir, "proftpd.conf")
	return []string{bin, "-n", "-q", "-c", conf}, env, os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

func (s *Server) pureFTPd(ctx context.Context) (args, env []string, err error) {
	bin, env, err := program("pure-ftpd")
	if err != nil {
		return nil, nil, err
	}
	pw, _, err := program("pure-pw")
	if err != nil {
		return nil, nil, err
	}
	if os.Getuid() != 0 {
		return nil, nil, fmt.Errorf("pure-ftpd without root: %w", ErrMissing)
	}
	if s.TLS == Implicit {
		return nil, nil, fmt.Errorf("pure-ftpd with implicit TLS, which it has not: %w", ErrMissing)
	}
	if s.Anonymous {
		return nil, nil, fmt.Errorf("pure-ftpd with anonymous, which needs a system account: %w", ErrMissing)
	}
	accounts, db := filepath.Join(s.dir, "accounts"), filepath.Join(s.dir, "accounts.pdb")
	line := fmt.Sprintf("%s:%s:65534:65534::%s/./::::::::::::\n", User, s.crypted(), s.Root)
	if err := os.WriteFile(accounts, []byte(line), 0o600); err != nil {
		return nil, nil, err
	}
	mkdb := exec.CommandContext(ctx, pw, "mkdb", db, "-f", accounts)
	mkdb.Env = append(os.Environ(), env...)
	if out, err := mkdb.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("pure-pw mkdb: %w: %s", err, out)
	}
	sessions := strconv.Itoa(max(60, s.Sessions))
	args = []string{bin, "-f", "none", "-d", "-d", "-g", filepath.Join(s.dir, "pid"), "-S", s.Host + "," + strconv.Itoa(int(s.Port)), "-l", "puredb:" + db,
		"-E", "-H", "-D", "-u", "1", "-c", sessions, "-C", sessions, "-U", "022:022"}
	if s.PassiveMin != 0 {
		args = append(args, "-p", fmt.Sprintf("%d:%d", s.PassiveMin, s.PassiveMax))
	}
	switch s.TLS {
	case Explicit:
		args = append(args, "-Y", "1")
	case Required:
		args = append(args, "-Y", "3")
	}
	if s.TLS != Off {
		args = append(args, "-2", s.CA+","+s.key())
	}
	return args, env, nil
}

func (s *Server) pyftpdlib(ctx context.Context) (args, env []string, err error) {
	python, err := pythonWith(ctx, "pyftpdlib", "OpenSSL")
	if err != nil {
		return nil, nil, err
	}
	password := s.Password
	if s.Locked {
		password += " no more"
	}
	args = []string{python, "-u", "-c", pyftpd, s.Host, strconv.Itoa(int(s.Port)), s.Root, s.User, password, string(s.TLS), s.CA, s.key(),
		strconv.Itoa(int(s.PassiveMin)), strconv.Itoa(int(s.PassiveMax)), strconv.Itoa(max(512, s.Sessions))}
	return args, nil, nil
}

// pythonWith is a Python that has the modules. The one first in PATH need not be Debian's, which has them.
func pythonWith(ctx context.Context, modules ...string) (string, error) {
	why := ""
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		out, err := exec.CommandContext(ctx, python, "-W", "ignore", "-c", "import "+strings.Join(modules, ", ")).CombinedOutput()
		if err == nil {
			return python, nil
		}
		why += fmt.Sprintf("\n%s: %v: %s", python, err, out)
	}
	return "", fmt.Errorf("a Python with %s: %w%s", strings.Join(modules, " and "), ErrMissing, why)
}

// unpacked is the folder where ./test unpacks packages.
var unpacked = sync.OnceValue(func() string {
	if dir := os.Getenv("PORTSIDE_PEERS"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "portside-test", "peers")
})

// program finds a program, and the environment that it needs to find its libraries.
func program(name string) (path string, env []string, err error) {
	if dir := unpacked(); dir != "" {
		for _, sub := range []string{"usr/sbin", "usr/bin"} {
			path := filepath.Join(dir, sub, name)
			if _, err := os.Stat(path); err == nil {
				libs := []string{filepath.Join(dir, "usr/lib"), filepath.Join(dir, "lib")}
				for _, lib := range libs {
					more, _ := filepath.Glob(filepath.Join(lib, "*-linux-*"))
					libs = append(libs, more...)
				}
				return path, []string{"LD_LIBRARY_PATH=" + strings.Join(libs, ":")}, nil
			}
		}
	}
	for _, sub := range []string{"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"} {
		path := filepath.Join(sub, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil, nil
		}
	}
	return "", nil, fmt.Errorf("%s: %w", name, ErrMissing)
}
