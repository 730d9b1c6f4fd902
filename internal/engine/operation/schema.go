package operation

import "unicode/utf8"

// node is a type of JSON value. null is a value of every type.
type node struct {
	kind   nodeKind
	elem   uint16 // of arrays and maps, in nodeTable
	props  span   // of objects, in propTable
	judged bool   // some key in it is more than harmless
}

type nodeKind uint8

const (
	kindAny     nodeKind = iota // anything; keys are free
	kindBool                    //
	kindString                  //
	kindNumber                  //
	kindStrings                 // a string, or a list of strings
	kindArray                   //
	kindMap                     // an object whose keys are free: labels, options, ports
	kindObject                  // an object whose keys are the schema's
)

// Entries of nodeTable that the generator puts first.
const (
	nodeAny    = 0 // what a key leads to that no schema knows
	nodeEmpty  = 1 // an object without keys: operations that take no body
	nodeString = 2
)

// prop is a key of a closed object, in the schema's spelling and folded.
type prop struct {
	name, fold string
	node       uint16
	class      class
}

// property finds a key as Go's encoding/json finds a struct's field: letter
// case does not count, and neither do the two letters outside ASCII that fold
// to ASCII ones.
func (n *node) property(key string) *prop {
	var buf [64]byte // longer than any key of the schema
	folded, ok := foldKey(buf[:0], key)
	if !ok {
		return nil
	}
	lo, hi := int(n.props.lo), int(n.props.hi)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch p := &propTable[mid]; {
		case p.fold == string(folded):
			return p
		case p.fold < string(folded):
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return nil
}

// foldKey appends the folded key; it is not ok if no key of a schema, all of
// them ASCII, can equal it.
func foldKey(dst []byte, key string) (folded []byte, ok bool) {
	for i := 0; i < len(key); {
		c := key[i]
		switch {
		case len(dst) == cap(dst):
			return nil, false
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+'a'-'A')
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(key[i:])
			switch r {
			case '\u017f': // long s
				dst = append(dst, 's')
			case '\u212a': // Kelvin sign
				dst = append(dst, 'k')
			default:
				return nil, false
			}
			i += size
		}
	}
	return dst, true
}
