//! Tests of this module. Rule ids are those of spec/PROTOCOL.md; SCH-n: 1 mistakes are refused with line and advice,
//! 2 the hash depends on the meaning alone, 3 the default schema holds what it promises.

mod crm;
