package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A verifier key line: NAME+HASH+KEY. Type 1 signs the text of a note, type 4 cosigns it with a time (C2SP tlog-cosignature).
type vkey struct {
	name string
	hash uint32
	kind byte
	key  ed25519.PublicKey
}

func parseVkey(text string) (*vkey, error) {
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("a vkey has three parts")
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) < 2 {
		return nil, errors.New("a vkey that is no base64")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), raw...))
	hash := binary.BigEndian.Uint32(sum[:4])
	if stated, err := strconv.ParseUint(parts[1], 16, 32); err != nil || uint32(stated) != hash {
		return nil, errors.New("a vkey whose hash is not that of its key")
	}
	found := &vkey{name: parts[0], hash: hash, kind: raw[0]}
	if raw[0] == 1 || raw[0] == 4 {
		if len(raw) != 33 {
			return nil, errors.New("an Ed25519 key has 32 bytes")
		}
		found.key = ed25519.PublicKey(raw[1:])
	}
	return found, nil
}

// Name, KeyHash and Verify make a vkey a note.Verifier of golang.org/x/mod/sumdb/note.
func (k *vkey) Name() string    { return k.name }
func (k *vkey) KeyHash() uint32 { return k.hash }
func (k *vkey) Verify(text, sig []byte) bool {
	switch k.kind {
	case 1:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(k.key, text, sig)
	case 4:
		at, rest, ok := cosigned(sig)
		if !ok {
			return false
		}
		signed := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", at)), text...)
		return ed25519.Verify(k.key, signed, rest)
	}
	return false // ML-DSA is not checked here
}

func cosigned(sig []byte) (int64, []byte, bool) {
	if len(sig) != 8+ed25519.SignatureSize {
		return 0, nil, false
	}
	at := binary.BigEndian.Uint64(sig)
	if at>>63 != 0 {
		return 0, nil, false
	}
	return int64(at), sig[8:], true
}

// A policy in the form of C2SP tlog-policy: keys of logs, and which cosigners make a checkpoint strong enough.
type policy struct {
	logs      map[string][]*vkey
	witnesses map[string][]*vkey // one, and those that took over from it
	groups    map[string]group
	quorum    string
	cards     []cardKey // keys from cards: one other node's cosignature is asked for
	verifiers []note.Verifier
	named     map[string]bool
	newer     *policy // the same with keys that took over from known ones, for which their region does not speak
}

func newPolicy() *policy {
	return &policy{
		logs: map[string][]*vkey{}, witnesses: map[string][]*vkey{}, groups: map[string]group{}, quorum: "none", named: map[string]bool{},
	}
}

// verify lets a key verify notes. note.VerifierList refuses one that is named twice, and only Ed25519 is checked here.
func (p *policy) verify(key *vkey) {
	if name := fmt.Sprintf("%s+%08x", key.name, key.hash); !p.named[name] && key.key != nil {
		p.named[name] = true
		p.verifiers = append(p.verifiers, key)
	}
}

type group struct {
	needed  int
	members []string
}

func (p *policy) readFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	found := p
	for number, line := range strings.Split(string(data), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		fail := func(why interface{}) error { return fmt.Errorf("%s:%d: %v", path, number+1, why) }
		switch {
		case words[0] == "log" && len(words) >= 2:
			key, err := parseVkey(words[1])
			if err != nil {
				return fail(err)
			}
			found.logs[key.name] = append(found.logs[key.name], key)
			p.verify(key)
		case words[0] == "witness" && len(words) >= 3:
			key, err := parseVkey(words[2])
			if err != nil {
				return fail(err)
			}
			found.witnesses[words[1]] = []*vkey{key}
			p.verify(key)
		case words[0] == "group" && len(words) >= 4:
			members := words[3:]
			needed := 0
			switch words[2] {
			case "any":
				needed = 1
			case "all":
				needed = len(members)
			default:
				if needed, err = strconv.Atoi(words[2]); err != nil || needed < 1 || needed > len(members) {
					return fail("a group needs a number of its members")
				}
			}
			for _, member := range members {
				_, isGroup := found.groups[member]
				if _, isWitness := found.witnesses[member]; !isGroup && !isWitness {
					return fail("a group names what stands above it")
				}
			}
			found.groups[words[1]] = group{needed, members}
		case words[0] == "quorum" && len(words) == 2:
			found.quorum = words[1]
		default:
			return fail("not a line of a policy")
		}
	}
	return nil
}

func (p *policy) satisfied(name string, by map[string]bool) bool {
	if name == "none" {
		return true
	}
	if g, ok := p.groups[name]; ok {
		count := 0
		for _, member := range g.members {
			if p.satisfied(member, by) {
				count++
			}
		}
		return count >= g.needed
	}
	return by[name]
}

// A checkpoint as it was read: text verified where a policy is there.
type checkpoint struct {
	origin  string
	size    int64
	root    [32]byte
	at      time.Time // time of its earliest cosignature that counts
	signed  bool      // by a known key of the log
	quorate bool      // cosigned as the policy asks
}

func readCheckpoint(data []byte, known *policy) (*checkpoint, error) {
	var verifiers []note.Verifier
	if known != nil {
		verifiers = known.verifiers
	}
	opened, err := note.Open(data, note.VerifierList(verifiers...))
	var text string
	var verified, unverified []note.Signature
	if err != nil {
		var unsure *note.UnverifiedNoteError
		if !errors.As(err, &unsure) {
			return nil, err
		}
		text, unverified = unsure.Note.Text, unsure.Note.UnverifiedSigs
	} else {
		text, verified, unverified = opened.Text, opened.Sigs, opened.UnverifiedSigs
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return nil, errors.New("a checkpoint has three lines")
	}
	found := &checkpoint{origin: lines[0]}
	if found.size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || found.size < 0 || strconv.FormatInt(found.size, 10) != lines[1] {
		return nil, errors.New("the size of a checkpoint")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != 32 {
		return nil, errors.New("the root of a checkpoint")
	}
	copy(found.root[:], root)
	cosigners := map[string]bool{}
	byCard := false
	take := func(sig note.Signature) {
		raw, err := base64.StdEncoding.DecodeString(sig.Base64)
		if err != nil || len(raw) < 4 {
			return
		}
		if at, _, ok := cosigned(raw[4:]); ok && (found.at.IsZero() || time.Unix(at, 0).Before(found.at)) {
			found.at = time.Unix(at, 0).UTC()
		}
	}
	if known == nil {
		for _, sig := range unverified {
			take(sig)
		}
		return found, nil
	}
	for _, sig := range verified {
		for _, key := range known.logs[found.origin] {
			found.signed = found.signed || (key.name == sig.Name && key.hash == sig.Hash)
		}
		for name, keys := range known.witnesses {
			for _, key := range keys {
				if key.name == sig.Name && key.hash == sig.Hash {
					cosigners[name] = true
					take(sig)
				}
			}
		}
		for _, each := range known.cards {
			if each.key.name != sig.Name || each.key.hash != sig.Hash {
				continue
			}
			raw, _ := base64.StdEncoding.DecodeString(sig.Base64)
			if at, _, ok := cosigned(raw[4:]); ok && each.cosigns(found.origin, time.Unix(at, 0)) {
				byCard = true
				take(sig)
			}
		}
	}
	found.quorate = known.satisfied(known.quorum, cosigners) && (len(known.cards) == 0 || byCard)
	return found, nil
}

// readRoots reads the certificates of a PEM file, as a card or a trust set gives them; nil where all of them are of
// algorithms that are not known here.
func readRoots(path string, pool *x509.CertPool) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return rootsOf(data, path, pool)
}

// rootsOf adds to what is known of a node by another card.
func rootsOf(data []byte, path string, pool *x509.CertPool) (*x509.CertPool, error) {
	if pool == nil {
		pool = x509.NewCertPool()
	}
	count, foreign := 0, 0
	for len(bytes.TrimSpace(data)) > 0 {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			foreign++ // a root of an algorithm that is not known here, as SM2
			continue
		}
		pool.AddCert(root)
		count++
	}
	if count == 0 && foreign > 0 && len(pool.Subjects()) == 0 {
		return nil, nil
	}
	count += foreign
	if count == 0 {
		return nil, fmt.Errorf("%s holds no certificate that can be read here", path)
	}
	return pool, nil
}
