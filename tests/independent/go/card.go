package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"
)

// A key of a card, within the time of its use.
type cardKey struct {
	role  string
	key   *vkey
	node  string
	from  time.Time
	until time.Time // zero while open
}

// readCard adds the keys and signing roots of a node's card to a policy, and gives the fingerprint to be compared by
// another way: SHA-256 of the card in groups of four.
func (p *policy) readCard(path string, roots map[string]*x509.CertPool) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	node := ""
	head := string(data)
	if end := strings.Index(head, "\n\n"); end >= 0 {
		head = head[:end]
	}
	for number, line := range strings.Split(head, "\n") {
		words := strings.Fields(line)
		fail := func(why interface{}) (string, error) { return "", fmt.Errorf("%s:%d: %v", path, number+1, why) }
		switch {
		case len(words) == 2 && words[0] == "node":
			node = words[1]
		case len(words) == 5 && words[0] == "key":
			one := cardKey{role: words[1], node: node}
			if one.key, err = parseVkey(words[4]); err != nil {
				return fail(err)
			}
			if one.from, err = time.Parse(time.RFC3339, words[2]); err != nil {
				return fail(err)
			}
			if words[3] != "-" {
				if one.until, err = time.Parse(time.RFC3339, words[3]); err != nil {
					return fail(err)
				}
			}
			if one.role == "log" {
				p.logs[one.key.name] = append(p.logs[one.key.name], one.key)
			}
			p.cards = append(p.cards, one)
			p.verify(one.key)
		}
	}
	marker := []byte("signing-roots\n")
	at := bytes.Index(data, marker)
	if node == "" || at < 0 {
		return "", fmt.Errorf("%s is no card", path)
	}
	pool, err := rootsOf(data[at+len(marker):], path, roots[node])
	if err != nil {
		return "", err
	}
	if pool != nil {
		roots[node] = pool
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	var groups []string
	for i := 0; i < len(sum); i += 4 {
		groups = append(groups, sum[i:i+4])
	}
	return node + ": " + strings.Join(groups, " "), nil
}

// cosigns says whether a key of a card may cosign a log: a mirror key what goes out, a witness key journals and local
// logs, of another node than the log's owner, and while it is in use.
func (k cardKey) cosigns(origin string, at time.Time) bool {
	role := "mirror"
	if strings.Contains(origin, "/journal/") || strings.Contains(origin, "/local/") {
		role = "witness"
	}
	within := !at.Before(k.from) && (k.until.IsZero() || at.Before(k.until))
	return k.role == role && within && k.node != ownerOf(origin)
}

// ownerOf is the node whose log it is: the first label of its origin.
func ownerOf(origin string) string { return strings.SplitN(origin, ".", 2)[0] }
