package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"portside/client"
)

// The verdicts on TLS and the sign-in.

func (e *Evidence) sayTLSRequired(Finding) string {
	return fmt.Sprintf("The server accepts only FTP over TLS, and your program spoke in clear: %q.", cmp.Or(failing(e.Greeting), failing(e.Pass), failing(e.User)))
}

func (e *Evidence) fixTLSRequired(Finding) []Fix {
	return []Fix{e.advice(ClientComputer, "Choose explicit TLS: ftpes://{host}.")}
}

func (e *Evidence) sayTLSUnsupported(Finding) string {
	switch {
	case e.TLSOld != "":
		return fmt.Sprintf("The server speaks %s at best, which is not safe any more; TLS 1.2 or newer is needed.", e.TLSOld)
	case e.HeldBack:
		return "The server has no TLS, so the password would go over the network in clear. It was not sent."
	case e.ListsAuth && e.AuthAnswer.failed():
		return fmt.Sprintf("The server lists TLS among its features and refuses to begin it: %q.", e.AuthAnswer)
	case e.TLSError != "" && !e.AuthAnswer.failed():
		return fmt.Sprintf("The TLS handshake with the server fails: %s.", e.TLSError)
	}
	return fmt.Sprintf("The server does not offer TLS: %q.", e.AuthAnswer)
}

func (e *Evidence) fixTLSUnsupported(Finding) []Fix {
	if e.TLSOld != "" {
		return []Fix{e.advice(ServerSettings, "Switch TLS 1.2 and 1.3 on, and update the server.")}
	}
	if e.ListsAuth && e.AuthAnswer.failed() || e.TLSError != "" && e.AuthAnswer.Code == 234 {
		return []Fix{
			e.advice(ServerSettings, "Check the server's certificate and private key, and its log for why TLS can't begin."),
			e.advice(ClientComputer, "Try another network: if TLS works there, a box on your side cuts it."),
			e.advice(ClientComputer, "Or choose plain FTP (ftp://), when it does not matter that the password and the files can be read on the way."),
		}
	}
	plain := "Or choose plain FTP (ftp://), when it does not matter that the password and the files can be read on the way."
	if e.HeldBack { // that is what was asked for
		plain = "Or let the password go in clear, when it does not matter that it and the files can be read on the way: `--consent-plain`, or \"Compare without TLS, too\" in the window."
	}
	return []Fix{
		e.setting("Switch TLS on at the server.", enableTLS),
		e.advice(ClientComputer, plain),
	}
}

func (e *Evidence) sayTLSCertificate(Finding) string {
	if e.CertError == "" {
		return fmt.Sprintf("The server asks for a certificate of the one who comes, and ends TLS when there is none: %s.", e.TLSError)
	}
	what := e.CertError
	if len(e.CertNames) > 0 {
		what += "; it is for " + strings.Join(e.CertNames, ", ")
	}
	if e.CertIssuer != "" {
		what += "; it was issued by " + e.CertIssuer
	}
	return fmt.Sprintf("The server's certificate can't be trusted for %s: %s.", e.Target.Host, what)
}

func (e *Evidence) fixTLSCertificate(Finding) []Fix {
	if e.CertError == "" {
		return []Fix{
			e.advice(ServerSettings, "Don't require certificates of clients at the server, or only of those who have one."),
			e.advice(ClientComputer, "Or use a program that can show a certificate, with one that the server's admin gives you; Portside can't."),
		}
	}
	fixes := []Fix{e.advice(ServerSettings, "Install a certificate for {host} from an authority that clients know, with its intermediate certificates.")}
	if e.CertExpired {
		fixes[0] = e.advice(ServerSettings, "Renew the server's certificate: it is not valid any more.")
	}
	if e.CertEarly {
		fixes = []Fix{
			e.advice(ClientComputer, "Check the date of this computer: by its clock the certificate is not valid yet."),
			e.advice(ServerSettings, "If the date is right, the server's certificate was made with a wrong one: make it anew."),
		}
	}
	if e.CertMisnamed && len(e.CertNames) > 0 && !e.CertExpired && !e.CertEarly {
		fixes = append([]Fix{e.advice(ClientComputer, "Connect by a name that the certificate is for, if it is this server's: "+strings.Join(e.CertNames, ", ")+".")}, fixes...)
	}
	return append(fixes, e.advice(ClientComputer, "If you know this server, compare this fingerprint with its admin's, connect, and trust the certificate when you are asked: "+e.CertFingerprint))
}

func (e *Evidence) sayLoginRefused(f Finding) string {
	answer := cmp.Or(failing(e.Pass), failing(e.User), failing(e.Greeting))
	switch {
	case f.Side == ClientNetwork:
		return fmt.Sprintf("A proxy answers in the server's place and does not take the user %s as named: %q.", e.Target.User, answer)
	case e.SignedIn && e.LostAt != "":
		return fmt.Sprintf("The server takes the user %s and ends the session at the command %s: %s.", e.Target.User, e.LostAt, quoteOr(e.LostText.String(), errText(e.Lost)))
	case e.SignedIn:
		return fmt.Sprintf("The server takes the user %s and then ends the session: %s.", e.Target.User, quoteOr(e.LostText.String(), errText(e.Lost)))
	case answer == "" && errors.Is(e.Lost, errSilent):
		return "The server does not answer the sign-in: it hangs, or waits for something such as a directory or a name lookup."
	case answer == "" && e.User.Code == 0 && e.AuthAnswer.Code == 0:
		return fmt.Sprintf("The server greets and ends the session at the first command, %s.", cmp.Or(e.LostAt, "USER"))
	case answer == "":
		return "The server ends the session while you sign in."
	case e.Greeting.failed():
		return fmt.Sprintf("The server turns your address away: %q.", answer)
	case e.User.banned() || e.Pass.banned():
		return fmt.Sprintf("The server turns your address away, or has had too many tries from it: %q.", answer)
	case saysHome.MatchString(answer):
		return fmt.Sprintf("The server takes the user %s and can't enter that user's folder: %q.", e.Target.User, answer)
	case strings.Contains(answer, "writable root"):
		return fmt.Sprintf("The server does not start a session in a folder that the user may write to: %q.", answer)
	case e.User.Code == 332 || e.Pass.Code == 332:
		return fmt.Sprintf("The server asks for an account besides user and password: %q.", answer)
	case saysExpired.MatchString(answer):
		return fmt.Sprintf("The server refuses the user %s, because the account or its password has expired: %q.", e.Target.User, answer)
	}
	return fmt.Sprintf("The server refuses the user %s: %q.", e.Target.User, answer)
}

func (e *Evidence) fixLoginRefused(f Finding) []Fix {
	switch answer := cmp.Or(failing(e.Pass), failing(e.User)); {
	case f.Side == ClientNetwork:
		return []Fix{
			e.advice(ClientComputer, "Sign in as the proxy wants it, usually as {user}@{host}, with the proxy as host."),
			e.advice(ClientNetwork, "Or let connections to {public} past the proxy: firewall, virus scanner or parental control that looks into FTP."),
		}
	case e.User.Code == 332 || e.Pass.Code == 332:
		return []Fix{
			e.advice(ServerSettings, "Let the user {user} in without an account (ACCT)."),
			e.advice(ClientComputer, "Or send the account that the server's admin gives you, where your program has a field for it."),
		}
	case saysExpired.MatchString(answer):
		return []Fix{e.advice(ServerSettings, "Give the user {user} a new password, or more time, at the server.")}
	case e.User.Code == 0 && e.LostAt != "", e.SignedIn && e.LostAt != "" && e.LostText.Code == 0 && errors.Is(e.Lost, errClosed):
		why := "a crash, or access rules such as /etc/hosts.deny"
		if e.SignedIn {
			why = "a crash, or a home folder that is missing or that {user} may not enter"
		}
		return []Fix{
			e.advice(ServerSettings, "See the server's log for why it ends the session at "+e.LostAt+": "+why+"."),
			e.advice(ClientComputer, "Try another network: if it works there, a box on your side ends the session."),
		}
	case e.Greeting.failed() || e.User.banned() || e.Pass.banned():
		return []Fix{
			e.advice(ServerSettings, "Let this client's address in: see the server's access rules, and what bans addresses (fail2ban, the server's own list of blocked addresses)."),
			e.advice(ClientComputer, "Wait until the ban has passed, and check user name and password before the next try."),
		}
	case e.SignedIn, saysHome.MatchString(cmp.Or(failing(e.Pass), failing(e.User))):
		return []Fix{e.advice(ServerSettings, "See the server's log: often the home folder of {user} is missing, or the user may not enter it.")}
	case errors.Is(e.Lost, errSilent):
		return []Fix{e.advice(ServerSettings, "See the server's log for what the sign-in waits for: a directory (LDAP, Active Directory), a database, a name lookup.")}
	}
	fixes := []Fix{e.advice(ClientComputer, "Check user name and password; too many tries may block your address.")}
	if strings.Contains(e.Pass.Text, "writable root") {
		fixes = []Fix{e.setting("Take the right to write from the user's root folder, or allow it.", []Variant{{string(VSFTPD), "allow_writeable_chroot=YES", "/etc/vsftpd.conf"}})}
	} else if e.Target.User == client.Anonymous {
		fixes = append(fixes, e.setting("Or allow anonymous users.", []Variant{
			{string(VSFTPD), "anonymous_enable=YES", "/etc/vsftpd.conf"}, {string(Portside), "Share > Who may come in: Anyone on this network", ""},
		}))
	} else {
		fixes = append(fixes, e.advice(ServerSettings, "Check that the user {user} exists, may use FTP (shell in /etc/shells, user lists), and has a home folder."))
	}
	if e.ListsAuth && !e.TLSUp {
		fixes = append(fixes, e.advice(ClientComputer, "The server offers TLS; some refuse users in clear without saying so. Try explicit TLS: ftpes://{host}."))
	}
	return fixes
}
