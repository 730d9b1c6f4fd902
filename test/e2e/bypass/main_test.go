package bypass

import (
	"os"
	"testing"

	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}
