package answer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/redact"
	"vitrine/test/long"
)

// TestPointersAreHeldAgainstTheAnswerClosed: one that covers nothing is an error that says why, and what would cover something.
func TestPointersAreHeldAgainstTheAnswerClosed(t *testing.T) {
	long.Alone(t)
	for _, tc := range []struct{ operation, pointer, found, says string }{
		{"ContainerInspect", "", "", ""},
		{"ContainerInspect", "/config/ENV/*", "/Config/Env/*", ""},
		{"ContainerInspect", "/config/env/12", "/Config/Env/12", ""},
		{"ContainerInspect", "/*/env", "/*/env", ""}, // in what has no schema it is spelled as it was
		{"ContainerInspect", "/config/labels/x/", "", "is a string: nothing is below it"},
		{"ContainerInspect", "/config/labels/Of.Mine", "/Config/Labels/Of.Mine", ""},
		{"ContainerList", "/*/names/0", "/*/Names/0", ""},
		{"ContainerLogs", "/Message", "/message", ""},
		{"ContainerInspect", "/config/env/x", "", "ContainerInspect's answer Config.Env is a list: below it is an index, or *"},
		{"ContainerInspect", "/config/env/1x", "", "is a list"},
		{"ContainerInspect", "/config/env/", "", "is a list"},
		{"ContainerList", "/Id", "", "in ContainerList's answer the answer is a list"},
		{"ContainerInspect", "/Nope", "", "ContainerInspect's answer has no Nope"},
		{"ContainerInspect", "/Config/Nope", "", "ContainerInspect's answer has no Config.Nope"},
		{"ContainerInspect", "/Id/x", "", "answer Id is a string: nothing is below it"},
		{"ContainerInspect", "/Config/Tty/x", "", "answer Config.Tty is a number or boolean: nothing is below it"},
		{"ContainerLogs", "/x", "", "ContainerLogs answers with no document"},
		{"Aaa", "/x", "", "Aaa answers with no document"},
		{"Zzz", "/x", "", "Zzz answers with no document"},
	} {
		p, err := Find(tc.operation, tc.pointer)
		_, nothing := errors.AsType[*NothingError](err)
		if p.String() != tc.found || nothing != (tc.says != "") || nothing && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s %s: %s, %v; want %s%s", tc.operation, tc.pointer, p, err, tc.found, tc.says)
		}
	}
	if p, err := Find("ContainerInspect", "Config/Env"); err == nil || p != nil {
		t.Errorf("no pointer: %s", p)
	}
	for _, op := range []string{"Aaa", "Zzz", "ContainerLogs", ""} {
		if IsDocument(op) {
			t.Errorf("%q answers with a document", op)
		}
	}
	_, err := Find("ContainerInspect", "/env")
	nothing, _ := errors.AsType[*NothingError](err)
	if nothing == nil || !slices.Contains(nothing.Elsewhere, "/Config/Env") || !slices.Contains(nothing.Keys, "Config") {
		t.Errorf("%+v", nothing)
	}
	_, err = Find("ContainerList", "/*/Source")
	if nothing, _ := errors.AsType[*NothingError](err); nothing == nil || !slices.Contains(nothing.Elsewhere, "/*/Mounts/*/Source") {
		t.Errorf("%+v", nothing)
	}
}

// TestWhatIsNoSecretIsNotResolvedClosed.
func TestWhatIsNoSecretIsNotResolvedClosed(t *testing.T) {
	for _, item := range []string{"/a~2", "enviroment", "Config/Env"} {
		if p, err := Resolve("ContainerInspect", []string{item}); err == nil || p != nil {
			t.Errorf("%s: %v", item, p)
		}
	}
	for _, item := range append(Names(), All, "", "/x") {
		if _, err := Resolve("ContainerInspect", []string{item}); err != nil {
			t.Error(err)
		}
	}
}

// TestWhichAnswersHoldASecret, and which of theirs are blanked.
func TestWhichAnswersHoldASecret(t *testing.T) {
	for _, name := range append(Names(), All) {
		holding := Holding(name)
		if !slices.IsSorted(holding) || len(holding) == 0 {
			t.Errorf("%s: %v", name, holding)
		}
		for _, op := range holding {
			if name != All && len(Places(op, name)) == 0 {
				t.Errorf("%s has no %s", op, name)
			}
		}
	}
	all, err := Resolve("ContainerInspect", []string{All})
	if err != nil {
		t.Fatal(err)
	}
	blanked := Blanked("ContainerInspect", all)
	if !slices.IsSorted(blanked) || len(blanked) < 3 || !slices.Contains(blanked, "env") {
		t.Errorf("%v", blanked)
	}
	env, err := Resolve("ContainerInspect", []string{"env"})
	if err != nil {
		t.Fatal(err)
	}
	if got := Blanked("ContainerInspect", env); !slices.Contains(got, "env") || len(got) >= len(blanked) {
		t.Errorf("%v", got)
	}
	if got := Blanked("ContainerInspect", []redact.Pointer{{"Id"}}); len(got) > 0 {
		t.Errorf("%v", got)
	}
}
