// Package attacks does to a running portside serve what the internet does to FTP servers, and compares its replies with
// vsftpd's. It has tests only: one for each attack, against the program as a process of its own, over raw sockets. The
// same promises are held in detail, in one process with the server, by package localserver's tests.
//
// The tests use the program that PORTSIDE_BIN names. Without it they run themselves as the program, without its window.
// Traffic stays on loopback, where 127.0.0.2 and up are the strangers. It works on Linux.
package attacks
