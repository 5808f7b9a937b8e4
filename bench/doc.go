// Command bench measures Portside beside other FTP programs, in turn and in the same run: bench/run starts it.
//
// It prints one table. A row of the first part is a transfer of one file from and to memory (tmpfs); its ratio is the peer's
// time divided by Portside's, so 1.00 is as fast as the peer and more is faster. Times are medians over several rounds, in
// which the programs take turns; spread is how far the rounds lie apart, so a ratio means little where that is large. The
// column CPU is the same ratio for processor time, which a busy machine changes less. The second part is what Portside takes
// while nothing happens.
//
// With --scale it measures servers with many clients instead: memory of idle sessions, sign-ins, many transfers at once, small
// files, long listings, throughput and processor time, of Portside's engine and of vsftpd, Pure-FTPd and pyftpdlib.
//
// With --small it measures 1,000 files of 4 KiB over 10 connections from and to vsftpd, beside curl -Z and lftp: at a round
// trip of 20 ms between two network namespaces (package way, root only), behind a relay that counts less of what a distance
// costs but needs no rights (package relay), and without. Command delay puts either between any client and server.
//
// Everything runs on loopback, has a time limit, and is ended by this program, by process number.
package main
