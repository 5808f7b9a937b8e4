//go:build !linux

package main

import "log"

func main() { log.Fatal("bench measures on Linux only: its peers and /proc are there") }
