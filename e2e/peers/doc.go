// Package peers starts the FTP programs that Portside is compared with: servers (vsftpd, ProFTPD, Pure-FTPd, pyftpdlib)
// on loopback, and clients (curl, lftp, ncftp, Python's ftplib). It asks the kernel who opened which connection, too.
//
// It promises that a server runs with a configuration of its own in a new folder, that it needs no installed service,
// account or privileged port, and that it is gone when the test, or the process that started it, is. Programs that are not
// there give [ErrMissing], so that a test can say so and skip.
//
// The programs are looked for in the folder PORTSIDE_PEERS (default: portside-test/peers in the user's cache folder), where
// ./test unpacks Debian's packages without installing them, and then in the usual places.
//
// Only tests and bench use this package. It works on Linux.
package peers
