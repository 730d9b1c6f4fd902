package policy

import (
	"fmt"
	"regexp"
	"slices"
)

// Codes of a policy that could not answer, or has no code of its own; the built-in
// policy's stand in rego/authz.rego. docs/reasons.md says what each means.
const (
	codeFailed = "policy-failed"
	codeNone   = "no-policy"
	codeOther  = "policy"
)

// nearest are the built-in policy's codes, the nearest to a yes first: of a caller with several
// roles, the one that lacks least is what is worth telling.
func nearest() []string {
	return []string{
		"mint", "extra-rule", "contradiction", "not-understood", "unknown-input", "body-unjudged",
		"no-owner", "engine-socket", "host-path-unresolved", "host-path", "hazard", "not-granted", "no-role",
	}
}

// Code is the one code that stands for a denial: stable, in kebab-case.
func (d *Diagnostics) Code() string {
	switch {
	case d.code != "":
		return d.code
	case len(d.Codes) == 0:
		return codeOther
	}
	for _, code := range nearest() {
		if slices.Contains(d.Codes, code) {
			return code
		}
	}
	return d.Codes[0]
}

// A code is a word that scripts and people look for; it cannot hold what a caller sent.
var codeForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

const maxCode = 40 // bytes

func checkCodes(codes []string) error {
	for _, code := range codes {
		if len(code) > maxCode || !codeForm.MatchString(code) {
			return fmt.Errorf("data.docker.authz.codes holds %q, which is no code: words of a-z and 0-9 joined by -, %d bytes at most", printable(code), maxCode)
		}
	}
	return nil
}
