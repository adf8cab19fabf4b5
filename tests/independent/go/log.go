package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A frontier is the roots of the complete subtrees of a growing tree, largest first.
type frontier struct {
	size  int64
	roots []tlog.Hash
}

func (f *frontier) add(leaf tlog.Hash) {
	f.roots = append(f.roots, leaf)
	for at := f.size; at&1 == 1; at >>= 1 {
		n := len(f.roots)
		f.roots = append(f.roots[:n-2], tlog.NodeHash(f.roots[n-2], f.roots[n-1]))
	}
	f.size++
}

func (f *frontier) root() tlog.Hash {
	if f.size == 0 {
		return tlog.Hash(sha256.Sum256(nil))
	}
	found := f.roots[len(f.roots)-1]
	for i := len(f.roots) - 2; i >= 0; i-- {
		found = tlog.NodeHash(f.roots[i], found)
	}
	return found
}

// treeRoot is the root of up to 256 leaves or hashes of one tile that is full.
func treeRoot(hashes []tlog.Hash) tlog.Hash {
	f := frontier{}
	for _, h := range hashes {
		f.add(h)
	}
	return f.root()
}

func tileHashes(data []byte, count int) ([]tlog.Hash, error) {
	if len(data) != count*hashSize {
		return nil, fmt.Errorf("%d bytes instead of %d", len(data), count*hashSize)
	}
	found := make([]tlog.Hash, count)
	for i := range found {
		copy(found[i][:], data[i*hashSize:])
	}
	return found, nil
}

// What the walk of one log found.
type walked struct {
	log       exportedLog
	room      string
	head      *checkpoint
	notes     []*checkpoint
	noteFiles []string
	times     []time.Time // of each note, or of a larger one that was cosigned earlier
	rotated   bool        // signed by keys that took over from known ones, and are not known
	keyless   bool        // no key of this log is known
	entries   int64       // entries whose bytes are here
	bodies    int64
	erased    int64
	problems  []problem
	absent    bool // no checkpoint: nothing of this log is proven
}

func (w *walked) find(r *report, claim int, index int64, file, code, text string) {
	r.find(finding{Claim: claim, Code: code, Log: w.log.Origin, Index: index, File: file, Text: text})
}

// mirroredAt is when the other side held an entry: the earliest time of a note that covers it.
func (w *walked) mirroredAt(index int64) (time.Time, bool) {
	i := sort.Search(len(w.notes), func(i int) bool { return w.notes[i].size > index })
	if i == len(w.notes) || w.times[i].IsZero() {
		return time.Time{}, false
	}
	return w.times[i], true
}

// walkTree checks checkpoint, notes, hash tiles and entry bundles of one log, in this order:
//
//	1 the checkpoint is of this log, and signed as the policy asks
//	2 every stored note is, too
//	3 each entry hashes to its leaf in the tiles of level 0
//	4 each tile of a higher level holds the roots of the tiles below it
//	5 the leaves give the root of the checkpoint, and at each smaller size that of its note
func walkTree(folder string, log exportedLog, known *policy, r *report) *walked {
	w := &walked{log: log, room: log.Folder}
	// 1
	data, err := readFile(folder, w.room+"/checkpoint")
	if err != nil {
		if os.IsNotExist(err) && log.Size == 0 {
			w.absent = true
			return w
		}
		w.find(r, 2, -1, w.room+"/checkpoint", "FILE_MISSING", err.Error())
		w.absent = true
		return w
	}
	head, err := readCheckpoint(data, known)
	if err != nil {
		w.find(r, 1, -1, w.room+"/checkpoint", "BAD_CHECKPOINT", err.Error())
		w.absent = true
		return w
	}
	if head.size > maxEntries {
		w.find(r, 1, -1, w.room+"/checkpoint", "BAD_CHECKPOINT", fmt.Sprintf("covers %d entries", head.size))
		w.absent = true
		return w
	}
	w.head = head
	if head.origin != log.Origin || head.size != log.Size {
		w.find(r, 1, -1, w.room+"/checkpoint", "BAD_CHECKPOINT", fmt.Sprintf("is of %s at %d", head.origin, head.size))
	}
	w.keyless = known != nil && len(known.logs[log.Origin]) == 0
	if w.keyless && (known.newer == nil || len(known.newer.logs[log.Origin]) == 0) {
		// Nothing can be said of who signed it; what it says is compared with what lies here.
	} else if known != nil && !(head.signed && head.quorate) && known.byNewer(data) {
		w.rotated = true
	} else if known != nil {
		if !head.signed {
			w.find(r, 1, -1, w.room+"/checkpoint", "BAD_CHECKPOINT", "no signature of a key of this log that the policy names")
		}
		if !head.quorate {
			w.find(r, 6, -1, w.room+"/checkpoint", "BAD_COSIGNATURE", "not cosigned as the policy asks")
		}
	}
	// 2
	stored, problems := readNotes(folder, w.room)
	for _, each := range problems {
		w.find(r, 6, -1, each.file, "BAD_NOTE", each.text)
	}
	for _, each := range stored {
		point, err := readCheckpoint(each.data, known)
		if err != nil {
			w.find(r, 6, each.size-1, each.file, "BAD_NOTE", err.Error())
			continue
		}
		if point.origin == log.Origin && point.size == each.size && w.keyless {
			continue
		}
		if point.origin == log.Origin && point.size == each.size && known != nil && !(point.signed && point.quorate) && known.byNewer(each.data) {
			w.rotated = true
			continue
		}
		if point.origin != log.Origin || point.size != each.size || (known != nil && !(point.signed && point.quorate)) {
			w.find(r, 6, each.size-1, each.file, "BAD_NOTE", fmt.Sprintf("the note of size %d is not one of this log, or not signed and cosigned as the policy asks", each.size))
			continue
		}
		w.notes = append(w.notes, point)
		w.noteFiles = append(w.noteFiles, each.file)
	}
	w.times = make([]time.Time, len(w.notes))
	for i := len(w.notes) - 1; i >= 0; i-- {
		w.times[i] = w.notes[i].at
		if i+1 < len(w.times) && !w.times[i+1].IsZero() && (w.times[i].IsZero() || w.times[i+1].Before(w.times[i])) {
			w.times[i] = w.times[i+1]
		}
	}
	// 3, in parallel by bundle
	leaves := make([][]tlog.Hash, (head.size+width-1)/width)
	var counting sync.Mutex
	inParallel(len(leaves), func(n int) {
		count := int(min64(width, head.size-int64(n)*width))
		name := tileName(int64(n), count)
		tile := w.room + "/tile/0/" + name
		data, err := readFile(folder, tile)
		var hashes []tlog.Hash
		if err == nil {
			hashes, err = tileHashes(data, count)
		}
		if err != nil {
			w.find(r, 2, int64(n)*width, tile, "TILE_MISSING", err.Error())
			hashes = make([]tlog.Hash, count)
		}
		leaves[n] = hashes
		bundle := w.room + "/tile/entries/" + name
		data, err = readFile(folder, bundle)
		if err != nil {
			if len(log.Scope) > 0 && !bytes.Equal(log.Scope, []byte(`"all"`)) && os.IsNotExist(err) {
				return // left out by the scope of the export
			}
			w.find(r, 2, int64(n)*width, bundle, "BUNDLE_MISSING", err.Error())
			return
		}
		entries, err := splitBundle(data, count)
		if err != nil {
			w.find(r, 1, int64(n)*width, bundle, "BUNDLE_FORMAT", err.Error())
			return
		}
		for i, each := range entries {
			if tlog.RecordHash(each) != hashes[i] {
				w.find(r, 1, int64(n)*width+int64(i), bundle, "ENTRY_CHANGED", "does not hash to its leaf")
			}
		}
		counting.Lock()
		w.entries += int64(count)
		counting.Unlock()
	})
	// 4
	below := leaves
	for level := 1; head.size>>(8*uint(level)) > 0; level++ {
		total := head.size >> (8 * uint(level))
		var roots []tlog.Hash
		for _, tile := range below {
			if len(tile) == width {
				roots = append(roots, treeRoot(tile))
			}
		}
		var above [][]tlog.Hash
		for n := int64(0); n*width < total; n++ {
			count := int(min64(width, total-n*width))
			name := fmt.Sprintf("%s/tile/%d/%s", w.room, level, tileName(n, count))
			data, err := readFile(folder, name)
			var hashes []tlog.Hash
			if err == nil {
				hashes, err = tileHashes(data, count)
			}
			if err != nil {
				w.find(r, 2, -1, name, "TILE_MISSING", err.Error())
			} else {
				for i := range hashes {
					if hashes[i] != roots[n*width+int64(i)] {
						w.find(r, 1, -1, name, "TILE_CHANGED", fmt.Sprintf("hash %d is not the root of the tile below it", i))
						break
					}
				}
			}
			above = append(above, roots[n*width:n*width+int64(count)])
		}
		below = above
	}
	// 5
	grown := frontier{}
	next := 0
	check := func() {
		for next < len(w.notes) && w.notes[next].size == grown.size {
			if tlog.Hash(w.notes[next].root) != grown.root() {
				w.find(r, 1, w.notes[next].size-1, w.noteFiles[next], "FORK", fmt.Sprintf("the note of size %d has another root than these entries", grown.size))
			}
			next++
		}
	}
	check()
	for _, tile := range leaves {
		for _, leaf := range tile {
			grown.add(leaf)
			check()
		}
	}
	if next < len(w.notes) {
		w.find(r, 2, head.size, w.noteFiles[next], "TAIL_CUT", fmt.Sprintf("a note covers %d entries, the checkpoint only %d", w.notes[len(w.notes)-1].size, head.size))
	}
	if grown.root() != tlog.Hash(head.root) {
		w.find(r, 1, -1, w.room+"/checkpoint", "ROOT_DIFFERS", "the leaves do not give the root of the checkpoint")
	}
	return w
}

// eachEntry gives every entry whose bytes are here, in parallel by bundle, with the bodies of its bundle. Without a report
// nothing is told of what can not be read.
func (w *walked) eachEntry(folder string, r *report, visit func(index int64, data []byte, one body, reason string)) {
	total := w.log.Size
	if w.head != nil {
		total = w.head.size
	}
	if total < 0 || total > maxEntries {
		return
	}
	bundles := int((total + width - 1) / width)
	inParallel(bundles, func(n int) {
		count := int(min64(width, total-int64(n)*width))
		name := tileName(int64(n), count)
		data, err := readFile(folder, w.room+"/tile/entries/"+name)
		if err != nil {
			return
		}
		entries, err := splitBundle(data, count)
		if err != nil {
			return
		}
		bodies, absent := map[int64]body{}, map[int64]string{}
		if w.log.Use != "journal" {
			file := w.room + "/bodies/" + name + ".tar"
			tar, err := readFile(folder, file)
			if err == nil {
				bodies, absent, err = readBodies(tar)
			}
			if err != nil && r != nil {
				w.find(r, 1, int64(n)*width, file, "BODIES_UNREADABLE", err.Error())
			}
		}
		for i, each := range entries {
			index := int64(n)*width + int64(i)
			visit(index, each, bodies[index], absent[index])
		}
	})
}

func inParallel(count int, work func(n int)) {
	var next int
	var lock sync.Mutex
	var done sync.WaitGroup
	for worker := 0; worker < runtime.NumCPU(); worker++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for {
				lock.Lock()
				n := next
				next++
				lock.Unlock()
				if n >= count {
					return
				}
				work(n)
			}
		}()
	}
	done.Wait()
}

func min64(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}
