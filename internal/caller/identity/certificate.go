package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"

	"vitrine/internal/engine/principal"
)

// addCertificate describes a verified client certificate and adds its
// principals. Who signs certificates chooses every byte of it; the chain's other
// certificates are the client's choice and are not looked at.
func (id *Identity) addCertificate(leaf *x509.Certificate) {
	cert := &Certificate{
		CommonName: commonName(leaf), SHA256: fingerprint(leaf),
		Organization: append([]string{}, leaf.Subject.Organization...),
		OrgUnit:      append([]string{}, leaf.Subject.OrganizationalUnit...),
		SANs:         append([]string{}, leaf.DNSNames...),
	}
	if leaf.SerialNumber != nil {
		cert.Serial = leaf.SerialNumber.Text(16)
	}
	for _, u := range leaf.URIs {
		cert.SANs = append(cert.SANs, u.String())
	}
	id.Certificate = cert
	id.add(principal.TLS, cert.CommonName)
	for _, san := range cert.SANs {
		id.add(principal.TLSSAN, san)
	}
	for _, o := range cert.Organization {
		id.add(principal.TLSO, o)
	}
	id.add(principal.TLSSHA256, cert.SHA256)
}

// fingerprint names a certificate; "" is no certificate's.
func fingerprint(leaf *x509.Certificate) string {
	if leaf == nil {
		return ""
	}
	sum := sha256.Sum256(leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// commonName is the subject's only CN; "" if there is none, or several: of
// those, every program picks another one.
func commonName(leaf *x509.Certificate) string {
	oid := asn1.ObjectIdentifier{2, 5, 4, 3}
	name, found := "", 0
	for _, attr := range leaf.Subject.Names {
		if attr.Type.Equal(oid) {
			name, _ = attr.Value.(string)
			found++
		}
	}
	if found != 1 {
		return ""
	}
	return name
}
