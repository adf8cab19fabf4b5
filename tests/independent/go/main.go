// Command verify checks a folder that "exchange audit export" wrote, without any of the gateway's own code.
//
// It believes only what its flags name: a policy in the form of C2SP tlog-policy, and for each region the signing roots
// from its card. Exit status: 0 all proven, 1 something refuted, 2 usage, 3 something not provable from this material.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A finding says what is wrong, and where. Claim 0 is the material itself.
type finding struct {
	Claim int    `json:"no"`
	Code  string `json:"code"`
	Log   string `json:"log"`
	Index int64  `json:"index"`
	File  string `json:"file"`
	Text  string `json:"text"`
}

type report struct {
	lock     sync.Mutex
	Findings []finding `json:"findings"`
	more     int64
}

const mostFindings = 10000

func (r *report) find(f finding) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if len(r.Findings) >= mostFindings {
		r.more++
		return
	}
	r.Findings = append(r.Findings, f)
}

type claim struct {
	No      int      `json:"no"`
	Name    string   `json:"name"`
	Outcome string   `json:"outcome"`
	Missing []string `json:"missing"`
}

var names = map[int]string{
	0: "材料与清单一致 the files are those of MANIFEST",
	1: "条目未改动 entries unchanged",
	2: "条目无缺失 none missing up to the checkpoint",
	4: "由所称地区签署 signed by the named region",
	5: "签署密钥当时有效 by keys valid and unrevoked then",
	6: "对方已收存 the other side held it",
}

type rootFlags map[string]*x509.CertPool

func (f rootFlags) String() string { return "" }
func (f rootFlags) Set(value string) error {
	parts := strings.SplitN(value, "=", 2)
	if len(parts) != 2 {
		return fmt.Errorf("NODE=FILE")
	}
	pool, err := readRoots(parts[1], f[parts[0]])
	if err == nil && pool != nil {
		f[parts[0]] = pool
	}
	return err
}

type cardFlags []string

func (f *cardFlags) String() string { return "" }
func (f *cardFlags) Set(value string) error {
	*f = append(*f, value)
	return nil
}

type listFlags []*x509.RevocationList

func (f *listFlags) String() string { return "" }
func (f *listFlags) Set(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		// One of an algorithm that is not known here, as SM2, says nothing here.
		if list, err := x509.ParseRevocationList(block.Bytes); err == nil {
			*f = append(*f, list)
		}
	}
	return nil
}

func main() {
	roots := rootFlags{}
	lists := listFlags{}
	var cards cardFlags
	policyFile := flag.String("policy", "", "C2SP tlog-policy `FILE`: keys of logs and of their cosigners")
	receipt := flag.String("receipt", "", "check this C2SP tlog-proof `FILE` under the policy, instead of a folder")
	asJSON := flag.Bool("json", false, "print the result as JSON")
	flag.Var(&cards, "card", "a node's card `FILE`: its keys and signing roots; once for each node; compare the fingerprint that is printed")
	flag.Var(&lists, "crl", "a signing authority's revocation list, PEM `FILE`; once for each")
	flag.Var(roots, "root", "signing roots of a region, as `NODE=FILE.pem`; once for each")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "verify [-card FILE ...] [-policy FILE] [-root NODE=FILE.pem ...] [-crl FILE ...] [-json] FOLDER\nverify -card FILE ... -receipt FILE")
		flag.PrintDefaults()
	}
	flag.Parse()
	var known *policy
	if *policyFile != "" || len(cards) > 0 {
		known = newPolicy()
	}
	if *policyFile != "" {
		if err := known.readFile(*policyFile); err != nil {
			usage(err)
		}
	}
	for _, card := range cards {
		fingerprint, err := known.readCard(card, roots)
		if err != nil {
			usage(err)
		}
		if !*asJSON {
			fmt.Println("名片指纹 card", fingerprint)
		}
	}
	if *receipt != "" {
		if flag.NArg() != 0 || known == nil {
			usage(fmt.Errorf("a receipt needs cards or a policy, and no folder"))
		}
		os.Exit(checkReceipt(*receipt, known))
	}
	if flag.NArg() != 1 {
		usage(fmt.Errorf("name one folder"))
	}
	os.Exit(checkFolder(flag.Arg(0), known, newKeyring(roots, lists), *asJSON))
}

func usage(err error) {
	fmt.Fprintln(os.Stderr, "verify:", plain(err.Error()))
	flag.Usage()
	os.Exit(2)
}

func checkFolder(folder string, known *policy, ring *keyring, asJSON bool) int {
	exported, err := readExport(folder)
	if err != nil {
		usage(err)
	}
	r := &report{Findings: []finding{}}
	files, problems, err := checkManifest(folder)
	if err != nil {
		r.find(finding{Claim: 0, Code: "MANIFEST_UNREADABLE", Index: -1, File: "MANIFEST", Text: err.Error()})
	}
	for _, each := range problems {
		r.find(finding{Claim: 0, Code: "FILE_CHANGED", Index: -1, File: each.file, Text: each.text})
	}
	// What the logs tell of keys comes first: by those that took over, checkpoints and notes are signed.
	var tellings []*telling
	for _, log := range exported.Logs {
		if log.Use != "journal" {
			tellings = append(tellings, gather(folder, &walked{log: log, room: log.Folder})...)
		}
	}
	ring.learnKeys(tellings)
	var rotated []string
	if known != nil {
		rotated = learnNotes(known, tellings, ring)
	}
	var logs []*walked
	for _, log := range exported.Logs {
		logs = append(logs, walkTree(folder, log, known, r))
	}
	missing := map[int][]string{}
	need := func(no int, what string) { missing[no] = append(missing[no], what) }
	open := &doubts{of: map[string][]doubt{}}
	var lines []string
	newer := false
	for _, w := range logs {
		if w.absent && w.log.Beyond == 0 && w.log.Size == 0 {
			continue // a log that nothing stands in
		}
		if w.absent {
			for _, no := range []int{1, 2, 4, 5, 6} {
				need(no, "a checkpoint of "+w.log.Origin)
			}
			continue
		}
		newer = newer || w.rotated
		if w.keyless && !w.rotated {
			for _, no := range []int{1, 2, 6} {
				need(no, "a key of "+w.log.Origin)
			}
		}
		line := fmt.Sprintf("%s: %d entries, %d of them here, %d notes, root %x", w.log.Origin, w.head.size, w.entries, len(w.notes), w.head.root[:8])
		if w.log.Use != "journal" {
			count := checkStatements(folder, w, ring, open, r)
			line += fmt.Sprintf("; %d statements, %d bodies, %d absent with a reason", count.good+count.unverified, count.bodies, count.withdrawn)
			if count.unverified > 0 {
				need(4, "signing roots of "+ownerOf(w.log.Origin))
				need(5, "signing roots of "+ownerOf(w.log.Origin))
			}
			if count.unmirrored > 0 {
				need(5, "cosigned notes of "+w.log.Origin+", to say by when its entries were there")
			}
			for _, what := range count.lacking(w.log.Origin, ring) {
				need(4, what)
				need(5, what)
			}
		}
		if w.log.Beyond > 0 {
			line += fmt.Sprintf("; %d more are promised, and not proven", w.log.Beyond)
		}
		lines = append(lines, line)
		if w.entries < w.head.size {
			need(2, "the bundles of "+w.log.Origin+" that this export leaves out")
		}
		if n := len(w.notes); n == 0 || w.notes[n-1].size < w.head.size {
			need(6, "the cosigned notes of "+w.log.Origin+" up to its checkpoint")
		}
	}
	for _, what := range append(open.settle(folder, logs, known, ring, tellings, r), ring.unlisted()...) {
		need(5, what)
	}
	for _, each := range rotated {
		if newer {
			for _, no := range []int{1, 2, 6} {
				need(no, "a newer card or policy, since keys were rotated: "+each)
			}
		}
	}
	if known == nil {
		for _, no := range []int{1, 2, 4, 5, 6} {
			need(no, "a policy: these files agree with each other, and where they come from is not proven")
		}
	}
	return tell(r, missing, lines, files, asJSON, known == nil)
}

func tell(r *report, missing map[int][]string, lines []string, files int, asJSON, unsourced bool) int {
	refuted := map[int]bool{}
	for _, each := range r.Findings {
		refuted[each.Claim] = true
	}
	status := 0
	var claims []claim
	for _, no := range []int{0, 1, 2, 4, 5, 6} {
		one := claim{No: no, Name: names[no], Outcome: "PROVEN", Missing: []string{}}
		switch {
		case refuted[no]:
			one.Outcome, status = "REFUTED", 1
		case len(missing[no]) > 0:
			one.Outcome, one.Missing = "NOT_PROVABLE", missing[no]
			if status == 0 {
				status = 3
			}
		}
		claims = append(claims, one)
	}
	sort.SliceStable(r.Findings, func(i, j int) bool {
		a, b := r.Findings[i], r.Findings[j]
		if a.Log != b.Log {
			return a.Log < b.Log
		}
		return a.Index < b.Index
	})
	if asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"claims": claims, "findings": r.Findings, "files": files})
		return status
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	for _, each := range claims {
		fmt.Printf("(%d) %-14s %s\n", each.No, each.Outcome, each.Name)
		for _, what := range each.Missing {
			fmt.Println("      缺 missing:", what)
		}
	}
	for _, each := range r.Findings {
		fmt.Printf("%s %s[%d] %s: %s\n", each.Code, each.Log, each.Index, plain(each.File), plain(each.Text))
	}
	if r.more > 0 {
		fmt.Printf("and %d more\n", r.more)
	}
	if unsourced && status == 3 {
		fmt.Println("内部一致，来源未证实 consistent in itself, its source is not proven")
	}
	return status
}

// plain is a text without what steers a terminal: names on the disk are the audited unit's.
func plain(text string) string {
	return strings.Map(func(char rune) rune {
		if char == utf8.RuneError || !unicode.IsPrint(char) {
			return '\ufffd'
		}
		return char
	}, text)
}
