package doctor

import (
	"errors"
	"net"
	"strings"
)

// Software is what runs at the other end, as far as its words give it away.
type Software string

const (
	UnknownSoftware Software = ""
	VSFTPD          Software = "vsftpd"
	ProFTPD         Software = "ProFTPD"
	PureFTPd        Software = "Pure-FTPd"
	FileZillaServer Software = "FileZilla Server"
	IIS             Software = "IIS"
	JSCAPE          Software = "JSCAPE MFT Server"
	SFTPGo          Software = "SFTPGo"
	Portside        Software = "Portside"
)

// tells is what each server says, in lower case. The first that fits counts.
var tells = []struct {
	says string
	is   Software
}{
	{"vsftpd", VSFTPD},
	{"please specify the password", VSFTPD},
	{"proftpd", ProFTPD},
	{"pure-ftpd", PureFTPd},
	{"filezilla", FileZillaServer},
	{"microsoft ftp", IIS},
	{"jscape", JSCAPE},
	{"sftpgo", SFTPGo},
	{"portside", Portside},
	{"windows_nt", IIS},
}

// softwareOf tells the server's software by what it says: its greeting, its answers to USER and SYST.
func softwareOf(said string) Software {
	said = strings.ToLower(said)
	for _, t := range tells {
		if strings.Contains(said, t.says) {
			return t.is
		}
	}
	return UnknownSoftware
}

func softwareOfSystem(syst string) Software { return softwareOf(syst) }

func (s Software) or(other Software) Software {
	if s == UnknownSoftware {
		return other
	}
	return s
}

func noSuchName(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}
