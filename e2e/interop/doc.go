// Package interop runs the portside program against other people's FTP programs, both ways: portside get and put with
// vsftpd, ProFTPD, Pure-FTPd and pyftpdlib, and curl, lftp, ncftp and ftplib with portside serve. What comes out must be
// what went in, and the connection log must name the initiator and the two ends of every connection as the kernel saw them.
//
// It has tests only. They use the program that PORTSIDE_BIN names, or build one.
package interop
