package doctor

// The variants of each fix. What stands in braces is filled in for the examined server ([Evidence.filler]).

// afterRestart is what has to be known of iptables' rules.
const afterRestart = "It is gone after a restart unless it is saved, on Debian with `netfilter-persistent save`."

var openRange = []Variant{
	{"ufw", "sudo ufw allow {lo}:{hi}/tcp", ""},
	{"firewalld", "sudo firewall-cmd --permanent --add-port={lo}-{hi}/tcp\nsudo firewall-cmd --reload", "The service \"ftp\" alone relies on a helper, which is blind under TLS."},
	{"nftables", "sudo nft insert rule inet filter input tcp dport {lo}-{hi} accept", "See `nft list ruleset` for the names of table and chain; then save it in /etc/nftables.conf."},
	{"iptables", "sudo iptables -I INPUT -p tcp --dport {lo}:{hi} -j ACCEPT", afterRestart},
	{"Windows Defender Firewall", `New-NetFirewallRule -DisplayName "FTP passive" -Direction Inbound -Protocol TCP -LocalPort {lo}-{hi} -Action Allow`, "In PowerShell as administrator."},
	{"macOS", "sudo /usr/libexec/ApplicationFirewall/socketfilterfw --add PROGRAM\nsudo /usr/libexec/ApplicationFirewall/socketfilterfw --unblockapp PROGRAM", "macOS lets programs in, not ports; \"Block all incoming connections\" must be off."},
	{"Cloud security group", "Inbound rule: TCP {lo}-{hi} from the clients' addresses", "AWS, Azure and others: also the network's ACL."},
	{"Docker", "docker run -p {port}:{port} -p {lo}-{hi}:{lo}-{hi} …", "A container's ports have to be published with the same numbers."},
}

var openControl = []Variant{
	{"ufw", "sudo ufw allow {port}/tcp", ""},
	{"firewalld", "sudo firewall-cmd --permanent --add-port={port}/tcp\nsudo firewall-cmd --reload", ""},
	{"nftables", "sudo nft insert rule inet filter input tcp dport {port} accept", "See `nft list ruleset` for the names of table and chain."},
	{"iptables", "sudo iptables -I INPUT -p tcp --dport {port} -j ACCEPT", afterRestart},
	{"Windows Defender Firewall", `New-NetFirewallRule -DisplayName "FTP" -Direction Inbound -Protocol TCP -LocalPort {port} -Action Allow`, "In PowerShell as administrator."},
	{"macOS", "sudo /usr/libexec/ApplicationFirewall/socketfilterfw --add PROGRAM\nsudo /usr/libexec/ApplicationFirewall/socketfilterfw --unblockapp PROGRAM", ""},
	{"Cloud security group", "Inbound rule: TCP {port} from the clients' addresses", ""},
}

var forwardRange = []Variant{
	{"Router", "Forward TCP {port} to {inside}:{port}\nForward TCP {lo}-{hi} to {inside}:{lo}-{hi}", "The same numbers inside and outside: the server names them to its clients. {inside} is the server's address in its own network."},
	{"nftables", "sudo nft add rule ip nat prerouting tcp dport { {port}, {lo}-{hi} } dnat to {inside}\nsudo nft insert rule inet filter forward ip daddr {inside} tcp dport { {port}, {lo}-{hi} } accept", "On a Linux router; see `nft list ruleset` for the names of tables and chains."},
	{"iptables", "sudo iptables -t nat -A PREROUTING -p tcp -m multiport --dports {port},{lo}:{hi} -j DNAT --to-destination {inside}\nsudo iptables -I FORWARD -p tcp -d {inside} -m multiport --dports {port},{lo}:{hi} -j ACCEPT", "On a Linux router. " + afterRestart},
	{"Cloud security group", "Inbound rule: TCP {lo}-{hi} from the clients' addresses", ""},
}

var forwardControl = []Variant{
	{"Router", "Forward TCP {port} to {inside}:{port}", "{inside} is the server's address in its own network."},
	{"Cloud security group", "Inbound rule: TCP {port} from the clients' addresses", ""},
}

// The passive range and the Passive IP in each server's own words.
var setRange = []Variant{
	{string(VSFTPD), "pasv_enable=YES\npasv_min_port={lo}\npasv_max_port={hi}", "/etc/vsftpd.conf, then restart vsftpd."},
	{string(ProFTPD), "PassivePorts {lo} {hi}", "proftpd.conf, then restart."},
	{string(PureFTPd), "PassivePortRange {lo} {hi}", "pure-ftpd.conf; on Debian: echo \"{lo} {hi}\" > /etc/pure-ftpd/conf/PassivePortRange."},
	{string(FileZillaServer), "Server > Configure > Protocols settings > FTP and FTP over TLS > Passive mode: Use custom port range, {lo} to {hi}", ""},
	{string(IIS), `%windir%\system32\inetsrv\appcmd set config -section:system.ftpServer/firewallSupport /lowDataChannelPort:{lo} /highDataChannelPort:{hi} /commit:apphost` + "\nnet stop ftpsvc && net start ftpsvc", "At a command prompt as administrator. Or IIS Manager, the server's FTP Firewall Support: Data Channel Port Range {lo}-{hi}."},
	{string(JSCAPE), "Services > Listeners > FTP/S > Passive port range: {lo} - {hi}", ""},
	{string(SFTPGo), `"ftpd": { "passive_port_range": { "start": {lo}, "end": {hi} } }`, "sftpgo.json."},
	{string(Portside), "Share > Passive mode > Use a passive port range: {lo} to {hi}", "Or: portside serve --passive-ports {lo}-{hi} …"},
}

var setPassiveIP = []Variant{
	{string(VSFTPD), "pasv_address={public}", "/etc/vsftpd.conf. With a name in place of the address: pasv_addr_resolve=YES."},
	{string(ProFTPD), "MasqueradeAddress {public}", "proftpd.conf; a name is allowed."},
	{string(PureFTPd), "ForcePassiveIP {public}", "pure-ftpd.conf, or the option -P; a name is allowed."},
	{string(FileZillaServer), "Server > Configure > Protocols settings > FTP and FTP over TLS > Passive mode: Use the following host: {public}", "With \"Use default host for local connections\" switched on."},
	{string(IIS), "FTP Firewall Support of the site > External IP Address of Firewall: {public}", ""},
	{string(JSCAPE), "Services > Listeners > FTP/S > Passive IP: {public}", ""},
	{string(SFTPGo), `"ftpd": { "bindings": [ { "force_passive_ip": "{public}" } ] }`, "sftpgo.json."},
	{string(Portside), "Share > Passive mode > Passive IP > Fixed IP: {public}", "Or: portside serve --passive-ip {public} …"},
}

var localIP = []Variant{
	{string(FileZillaServer), "Server > Configure > Protocols settings > FTP and FTP over TLS > Passive mode: Use default host for local connections", ""},
	{string(ProFTPD), "<IfClass lan>\n  MasqueradeAddress {inside}\n</IfClass>", "With a Class of the local network, in proftpd.conf."},
	{string(SFTPGo), `"passive_ip_overrides": [ { "networks": ["192.168.0.0/16", "10.0.0.0/8"], "ip": "" } ]`, "sftpgo.json, in the binding."},
	{string(Portside), "Share > Passive mode > Passive IP: Automatic", "It tells each client the address that it came by."},
	{"Router", "Switch on NAT loopback (hairpin NAT) for TCP {port} and {lo}-{hi}", "Then the public address works inside, too."},
	{"DNS", "Let {host} be {inside} for clients inside and the public address for all others", "Split DNS; the server's Passive IP then has to be given for each network."},
}

var moreClients = []Variant{
	{string(VSFTPD), "max_clients=100\nmax_per_ip=10", "0 means no limit."},
	{string(ProFTPD), "MaxInstances 100\nMaxClients 100\nMaxClientsPerHost 10", ""},
	{string(PureFTPd), "MaxClientsNumber 100\nMaxClientsPerIP 10", ""},
	{string(FileZillaServer), "Server > Configure > Server listeners and users: raise the limits of connections", ""},
	{string(IIS), "FTP site > Advanced Settings > Connections > Max Connections", ""},
	{string(SFTPGo), `"common": { "max_total_connections": 100, "max_per_host_connections": 20 }`, "sftpgo.json."},
	{string(Portside), "Share > Server options > Clients at once", ""},
}

var noLookups = []Variant{
	{string(VSFTPD), "reverse_lookup_enable=NO", "Newer than 3.0.3; else repair the name server in /etc/resolv.conf."},
	{string(ProFTPD), "UseReverseDNS off\nIdentLookups off", ""},
	{string(PureFTPd), "DontResolve yes", ""},
}

var noReuse = []Variant{
	{string(VSFTPD), "require_ssl_reuse=NO", "/etc/vsftpd.conf"},
	{string(ProFTPD), "TLSOptions NoSessionReuseRequired", "proftpd.conf"},
	{string(FileZillaServer), "FTP over TLS settings: Require TLS session resumption on data connection: off", "In versions 0.9."},
}

var enableTLS = []Variant{
	{string(VSFTPD), "ssl_enable=YES\nrsa_cert_file=/etc/ssl/certs/ftp.pem\nrsa_private_key_file=/etc/ssl/private/ftp.key", ""},
	{string(ProFTPD), "TLSEngine on\nTLSRSACertificateFile /etc/ssl/certs/ftp.pem\nTLSRSACertificateKeyFile /etc/ssl/private/ftp.key", "mod_tls has to be loaded."},
	{string(PureFTPd), "TLS 1", "With the certificate and key in /etc/ssl/private/pure-ftpd.pem."},
	{string(FileZillaServer), "Server > Configure > Server listeners > Protocol: Explicit FTP over TLS and insecure plain FTP", ""},
	{string(IIS), "FTP SSL Settings of the site: choose a certificate and Allow SSL connections", ""},
	{string(JSCAPE), "Services > Listeners > FTP/S: allow explicit SSL, with a server key", ""},
	{string(SFTPGo), `"ftpd": { "certificate_file": "/etc/ssl/certs/ftp.pem", "certificate_key_file": "/etc/ssl/private/ftp.key" }`, "sftpgo.json, in the binding for FTP: \"tls_mode\": 0 (TLS if asked for) or 1 (required)."},
	{string(Portside), "Share > Port and protection: TLS if asked for", ""},
}

var enableActive = []Variant{
	{string(VSFTPD), "port_enable=YES\nconnect_from_port_20=YES", "/etc/vsftpd.conf"},
	{string(SFTPGo), `"ftpd": { "disable_active_mode": false }`, "sftpgo.json"},
}

var clientInbound = []Variant{
	{"ufw", "sudo ufw allow from {public} to any port 50210:50219 proto tcp", ""},
	{"firewalld", "sudo firewall-cmd --permanent --add-port=50210-50219/tcp\nsudo firewall-cmd --reload", ""},
	{"nftables", "sudo nft insert rule inet filter input ip saddr {public} tcp dport 50210-50219 accept", "See `nft list ruleset` for the names of table and chain."},
	{"iptables", "sudo iptables -I INPUT -s {public} -p tcp --dport 50210:50219 -j ACCEPT", afterRestart},
	{"Windows Defender Firewall", `New-NetFirewallRule -DisplayName "FTP active" -Direction Inbound -Protocol TCP -RemoteAddress {public} -LocalPort 50210-50219 -Action Allow`, "In PowerShell as administrator."},
	{"macOS", "sudo /usr/libexec/ApplicationFirewall/socketfilterfw --add PROGRAM\nsudo /usr/libexec/ApplicationFirewall/socketfilterfw --unblockapp PROGRAM", ""},
}

var clampMSS = []Variant{
	{"Linux router", "sudo nft add rule inet filter forward tcp flags syn tcp option maxseg size set rt mtu", "On the router or VPN gateway before the smaller link."},
	{"Linux server", "sudo sysctl -w net.ipv4.tcp_mtu_probing=1", "The server then finds the size out by itself."},
	{"Firewall", "Let ICMP type 3 code 4 (fragmentation needed) and ICMPv6 type 2 (packet too big) through", ""},
	{"VPN", "MTU 1280", "In the VPN's settings, on either side."},
}

var helperOff = []Variant{
	{"Home router", "Switch the router's FTP helper (FTP ALG) off", ""},
	{"Cisco ASA", "policy-map global_policy\n class inspection_default\n  no inspect ftp", ""},
	{"MikroTik", "/ip firewall service-port disable ftp", ""},
	{"Linux router", "Remove the rule with `ct helper set` for FTP; see `nft list ruleset`", ""},
}
